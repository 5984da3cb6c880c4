# The product's image: the packages that the lock file names, static files built in a stage of their own, no root.
# Base images are named by language version and Debian release, so that a rebuild brings their security updates and
# nothing else. To have the very same bytes each time, append the digest of the one you tested (`docker image inspect`).
FROM node:24-bookworm-slim AS static
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --silent
COPY tools ./tools
COPY static ./static
RUN node tools/build_static.mjs

FROM python:3.13-slim-bookworm AS product
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
 && useradd --system --uid 10001 --home /srv product
COPY alembic.ini ./
COPY migrations ./migrations
COPY locales ./locales
COPY templates ./templates
COPY app ./app
COPY --from=static /src/static ./static
USER product
EXPOSE 8000
ENV HOST=0.0.0.0
ENTRYPOINT ["python", "-m", "app"]
CMD ["web"]

# For trying out: the sandboxes for Entra ID, Graph and ServiceNow.
FROM product AS demo
COPY sandbox ./sandbox
USER root
RUN install --directory --owner product --mode 700 /data
USER product
EXPOSE 8100 8200
ENTRYPOINT ["python", "-m", "sandbox"]
CMD ["serve"]

FROM product
