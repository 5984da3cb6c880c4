# The product's image: the packages that the lock file names, static files built in a stage of their own, no root.
# Base images are named by language version and Debian release, so that a rebuild brings their security updates and
# nothing else. For the very same bytes each time, pass the ones that you tested, by digest:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:… --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:… .
# The database of docker-compose.yml likewise: POSTGRES_IMAGE=postgres:18-trixie@sha256:… in .env.
# No digest is written here, because one that is not renewed would keep known holes.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS static
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --silent
COPY tools ./tools
COPY static ./static
RUN node tools/build_static.mjs

FROM ${PYTHON_IMAGE} AS product
ARG VERSION=0.1.0
ARG REVISION=unknown
# https://github.com/opencontainers/image-spec/blob/main/annotations.md
LABEL org.opencontainers.image.title="Security center with a ServiceNow connector" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
COPY requirements.lock ./
# pip is removed: what runs here installs nothing.
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
 && pip uninstall --yes pip \
 && groupadd --system --gid 10001 product \
 && useradd --system --uid 10001 --gid 10001 --home /srv product
COPY LICENSE NOTICE alembic.ini ./
COPY migrations ./migrations
COPY locales ./locales
COPY templates ./templates
COPY app ./app
COPY --from=static /src/static ./static
# By number: Kubernetes' runAsNonRoot cannot tell that a name is not root.
# https://kubernetes.io/docs/concepts/security/pod-security-standards/
USER 10001:10001
EXPOSE 8000
ENV HOST=0.0.0.0
# For web, which is what runs unless another command is given. Give a worker its own: see docker-compose.yml.
HEALTHCHECK --interval=10s --timeout=6s --start-period=15s --retries=6 CMD ["python", "-m", "app", "healthy", "web"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["web"]

# For trying out: the sandboxes for Entra ID, Graph and ServiceNow.
FROM product AS demo
COPY sandbox ./sandbox
USER root
RUN install --directory --owner 10001 --group 10001 --mode 700 /data
USER 10001:10001
HEALTHCHECK NONE
EXPOSE 8100 8200
ENTRYPOINT ["python", "-m", "sandbox"]
CMD ["serve"]

FROM product
