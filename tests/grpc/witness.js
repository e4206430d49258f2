// A client with an HTTP/2 of its own (@grpc/grpc-js): what it sees goes out as one JSON object.
//   node witness.js MODULES ROOT ADDRESS [CA KEY CERT]
'use strict';
const fs = require('fs');
const [modules, root, address, ca, key, cert] = process.argv.slice(2);
const grpc = require(`${modules}/@grpc/grpc-js`);
const loader = require(`${modules}/@grpc/proto-loader`);

const load = (name) => grpc.loadPackageDefinition(loader.loadSync(name, {
  keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true,
  includeDirs: [`${root}/proto`, `${root}/node/grpc`],
}));
const read = (path) => (path ? fs.readFileSync(path) : null);
const credentials = ca ? grpc.credentials.createSsl(read(ca), read(key), read(cert))
  : grpc.credentials.createInsecure();
const {EventFlux} = load('eventflux.proto').eventflux.v1;
const {Transport} = load('transport.proto').eventflux.transport;
const {Health} = load('health.proto').grpc.health.v1;
const client = new EventFlux(address, credentials);

const unary = (stub, name, message, options = {}) => new Promise((resolve) => {
  stub[name](message, options, (error, answer) => resolve(
    error ? {code: error.code, details: error.details, efx: error.metadata.get('efx-code')[0]}
      : answer));
});
const all = (call) => new Promise((resolve) => {
  const got = [];
  call.on('data', (x) => got.push(x));
  call.on('error', (error) => resolve({code: error.code, got}));
  call.on('end', () => resolve({code: 0, got}));
});
const rows = (n, from) => Array.from({length: n}, (_, i) => ({values: [{i: from + i}]}));
const batch = (n, from) => [{stream: 'Small', rows: rows(n, from)}];

async function main() {
  const seen = {};
  const status = await unary(client, 'Status', {}, {deadline: Date.now() + 20000});
  seen.status = status.app || status.code;
  if (typeof seen.status === 'number') {
    return seen;
  }
  seen.health = (await unary(new Health(address, credentials), 'Check', {})).status;

  const subscription = client.Subscribe({stream: 'Twice', as_rows: true});
  const values = [];
  let began;
  const live = new Promise((resolve) => { began = resolve; });
  const complete = new Promise((resolve) => {
    subscription.on('data', (b) => {
      began();
      (b.batch ? b.batch.rows : []).forEach((r) => values.push(r.values[0].i));
      if (values.length >= 2000) {
        resolve();
      }
    });
    subscription.on('error', () => resolve());
  });
  await live;
  const call = client.Submit();
  const acks = all(call);
  call.write({open: {session: 'js'}});
  for (let i = 0; i < 20; i++) {
    call.write({first_seq: 1 + 100 * i, batches: batch(100, 100 * i)});
  }
  call.end();
  const ended = await acks;
  seen.submit = [ended.code, ended.got[ended.got.length - 1].accepted];
  await complete;
  subscription.cancel();
  seen.sum = values.reduce((a, b) => a + b, 0);

  seen.wrong = await unary(client, 'SubmitOnce', {open: {}, batches: [{stream: 'Nix'}]});
  seen.big = (await unary(client, 'SubmitOnce', {
    open: {}, batches: [{stream: 'S', rows: [{values: [{s: 'x'.repeat(4200000)}]}]}],
  })).code;
  const slow = client.Subscribe({stream: 'Twice'}, {deadline: Date.now() + 300});
  seen.deadline = (await all(slow)).code;
  const gone = client.Subscribe({stream: 'Twice'});
  setTimeout(() => gone.cancel(), 100);
  seen.cancelled = (await all(gone)).code;
  seen.unknown = await new Promise((resolve) => {
    client.makeUnaryRequest('/eventflux.v1.EventFlux/Nix', (x) => x, (x) => x, Buffer.alloc(0),
      (error) => resolve(error.code));
  });
  const old = new Transport(address, credentials);
  const answer = await unary(old, 'SendMessage', {
    id: 'm', message_type: 'MESSAGE_TYPE_EVENT', payload: Buffer.from('[{"v":1},{"v":2}]'),
    headers: {stream: 'Small'},
  });
  seen.transport = [answer.id, answer.message_type, answer.headers.accepted];
  return seen;
}

main().then((seen) => {
  process.stdout.write(JSON.stringify(seen));
  process.exit(0);
});
