// openid-client 6 at sign-in, as its documentation shows. Reads a job from standard input and writes its outcome as JSON.
import * as client from "openid-client";

let input = "";
for await (const part of process.stdin) input += part;
const job = JSON.parse(input);
const outcome = { seconds: 0, results: [], failures: 0, told: [] };

const server = new URL(`${job.url}/${job.tenant}/v2.0`);
const authentication = job.basic ? client.ClientSecretBasic(job.client_secret) : undefined;

// Plain HTTP to loopback is what the library refuses without being told.
const configuration = async () =>
  client.discovery(server, job.client_id, job.client_secret, authentication, {
    execute: [client.allowInsecureRequests],
  });

const work = {
  async authorize() {
    const config = await configuration();
    const verifier = job.pkce ? client.randomPKCECodeVerifier() : "";
    const kept = { state: client.randomState(), nonce: client.randomNonce() };
    const proof = verifier
      ? { code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256" }
      : {};
    const asked = { redirect_uri: job.redirect_uri, scope: job.scope, ...kept, ...proof, ...job.more };
    outcome.results.push({ address: client.buildAuthorizationUrl(config, asked).href, verifier, ...kept });
  },
  async fetch() {
    const config = await configuration();
    const expected = { expectedState: job.state, expectedNonce: job.nonce, idTokenExpected: true };
    if (job.verifier) expected.pkceCodeVerifier = job.verifier;
    const first = await client.authorizationCodeGrant(config, new URL(job.callback), expected);
    const person = await client.fetchUserInfo(config, first.access_token, first.claims().sub);
    const again = await client.refreshTokenGrant(config, first.refresh_token);
    outcome.results.push({ name: person.name, oid: first.claims().oid, again: again.claims().oid });
  },
  async application() {
    const config = await configuration();
    const token = await client.clientCredentialsGrant(config, { scope: job.scope });
    outcome.results.push({ token_type: token.token_type });
  },
};

try {
  await work[job.what]();
} catch (error) {
  outcome.failures += 1;
  const parts = [error.constructor.name, error.error, error.code, error.message].filter(Boolean);
  outcome.told.push(parts.join(" ").slice(0, 200));
}
process.stdout.write(JSON.stringify(outcome));
