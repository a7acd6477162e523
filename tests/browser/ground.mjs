// What the checks stand on: a bundle of its own, filled with deliveries by their real way, and a browser.

import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/// What must be shown as it is, wherever it stands.
export const HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>';
/// The same as an id, which holds no white space, no slash and no full stop.
export const HOSTILE_ID = '<script>owned=1<b>"&amp;';
export const SCOPES = ['records:read', 'audit:read', 'sync:write', 'batch:run'];
/// How long anything may take that is waited for, in milliseconds. The first build is waited for longer.
export const PATIENCE = 30_000;

/// Asks until there is an answer.
export async function until(what, ask, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

const freePort = () => new Promise((resolve, reject) => {
  const server = net.createServer();
  server.once('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/// A running bundle, and what its senders know.
export class Bundle {
  static async start() {
    const data = fs.mkdtempSync(path.join(os.tmpdir(), 'certbridge-browser-'));
    const keys = Object.fromEntries(Object.entries({
      all: SCOPES, reader: ['records:read'], runner: ['sync:write'],
    }).map(([owner, scopes]) => [owner, { key: crypto.randomBytes(24).toString('hex'), scopes }]));
    const entries = Object.entries(keys).map(([owner, { key, scopes }]) =>
      ({ id: owner, owner, scopes, sha256: crypto.createHash('sha256').update(key).digest('hex') }));
    fs.writeFileSync(path.join(data, 'secrets.json'), JSON.stringify({ 'api-keys': { keys: entries } }), { mode: 0o600 });
    const port = await freePort();
    const child = spawn('cargo', ['run', '-q', '--', 'up', '--port', String(port), '--data', data], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let told = '';
    child.stdout.on('data', text => { told += text; });
    child.stderr.on('data', text => { told += text; });
    const bundle = new Bundle();
    Object.assign(bundle, { data, child, keys, url: `http://127.0.0.1:${port}` });
    try {
      await until('the bundle', () => {
        if (child.exitCode !== null) throw new Error(`the bundle ended:\n${told}`);
        return told.includes('ready http');
      }, 900_000);
    } catch (error) {
      await bundle.stop();
      throw error;
    }
    bundle.accredible = /accredible\s+(http\S+)/.exec(told)?.[1];
    bundle.snapshots = /snapshots\s+(http\S+)/.exec(told)?.[1];
    return bundle;
  }

  async stop() {
    if (this.child.exitCode === null) {
      const over = new Promise(resolve => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      await over;
    }
    fs.rmSync(this.data, { recursive: true, force: true });
  }

  /// Asks the API with the key that opens everything.
  async api(method, at, body) {
    const response = await fetch(`${this.url}/${at}`, {
      method, headers: { authorization: `Bearer ${this.keys.all.key}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${at}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  secret(name) {
    return JSON.parse(fs.readFileSync(path.join(this.data, 'secrets.json'), 'utf8'))[name].signing[0];
  }

  /// Delivers a body as the sender of Standard Webhooks would, who gives each delivery an id.
  async deliver(id, body) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const [key, at] = [Buffer.from(this.secret('sources/standard-webhooks').replace('whsec_', ''), 'base64'), String(Math.floor(Date.now() / 1000))];
    const signature = crypto.createHmac('sha256', key).update(`${id}.${at}.${text}`).digest('base64');
    await this.post('standard-webhooks', text, { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${signature}` });
  }

  /// Delivers an event as whoever forwards Accredible's would.
  async forward(certificate) {
    const text = JSON.stringify({ event_type: 'certificate_created', certificate_id: certificate, timestamp: new Date().toISOString(), source: 'accredible' });
    const signature = crypto.createHmac('sha256', this.secret('sources/accredible')).update(text).digest('hex');
    await this.post('certificates', text, { 'X-Accredible-Signature': signature });
  }

  async post(source, body, headers) {
    const response = await fetch(`${this.url}/webhooks/${source}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
    if (response.status !== 202) throw new Error(`${source} was answered ${response.status}: ${await response.text()}`);
  }

  certificate(id, members = {}) {
    return {
      type: 'certificate.issued', timestamp: new Date().toISOString(),
      data: { certificate_id: id, user_id: `person-${id}`, issue_date: '2026-01-31', location_id: 'loc_london', status: 'issued', title: 'First aid', recipient_name: 'Marked Person', ...members },
    };
  }

  /// Compares both sides, and waits until that is over.
  async batch(body) {
    const { batch_id: id } = await this.api('POST', 'batch_sync', body);
    return until(`batch ${id}`, async () => {
      const batch = await this.api('GET', `batches/${id}`);
      return ['finished', 'failed'].includes(batch.status) && batch;
    }, 120_000);
  }

  /// What the checks find: more than a page of certificates, one record of every other kind, hostile values, four
  /// deliveries that need a person, batches and checkpoints.
  async fill() {
    const records = Array.from({ length: 30 }, (_, index) => ({
      certificate_id: `given-${index}`, user_id: `person-${index}`, issue_date: '2026-02-01', location_id: index % 3 ? 'loc_london' : 'loc_lyon', title: 'Food hygiene',
    }));
    await this.batch({ batch_id: 'given', records });
    await this.forward('100');
    const at = new Date().toISOString();
    await this.deliver('certificate-1', this.certificate('plain-1'));
    await this.deliver('certificate-2', this.certificate(HOSTILE_ID, { title: HOSTILE }));
    await this.deliver('location-1', { type: 'location.created', timestamp: at, data: { location_id: 'l-1', name: 'London', country: 'GB' } });
    await this.deliver('customer-1', { type: 'customer.created', timestamp: at, data: { customer_id: 'c-1', email: 'marked@example.com', first_name: 'Marked' } });
    await this.deliver('invoice-1', { type: 'invoice.created', timestamp: at, data: { invoice_id: 'i-1', customer_id: 'c-1', total: '120.50', currency: 'USD', status: 'sent', issue_date: '2026-01-31' } });
    await this.deliver('unknown-location', this.certificate('lost-1', { location_id: 'loc_oslo' }));
    await this.deliver('unreadable', 'this is not JSON');
    await this.deliver(HOSTILE_ID, this.certificate('lost-3', { issue_date: HOSTILE }));
    await this.deliver('no-date', this.certificate('lost-2', { issue_date: null }));
    await until('the deliveries', async () => {
      const one = await this.api('GET', 'events?state=pending');
      const quarantined = await this.api('GET', 'events?state=quarantined');
      return one.events.length === 0 && quarantined.events.length === 4;
    });
    await this.issueInSilence('drifted');
    await this.batch({ batch_id: 'dry', dry_run: true });
    await this.batch({ batch_id: 'real', force: true });
    for (let count = 0; count < 2; count += 1) execFileSync('cargo', ['run', '-q', '--', 'audit', 'checkpoint', '--data', this.data], { cwd: ROOT });
  }

  /// Makes the location known that a delivery waits for.
  async openOslo() {
    await put(`${this.snapshots}/_sandbox/locations/loc_oslo`, { name: 'Oslo' });
  }

  /// Has Accredible issue a credential without telling us, long ago.
  async issueInSilence(id) {
    const at = `${this.accredible}/_sandbox/credentials/${id}`;
    await put(at, { custom_attributes: { location_id: 'loc_london' } });
    await put(`${at}/updated_at`, { updated_at: '2026-03-01T00:00:00Z' });
  }
}

/// Tells a sandbox something.
async function put(at, body) {
  const response = await fetch(at, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`the sandbox answered ${response.status}: ${await response.text()}`);
}
