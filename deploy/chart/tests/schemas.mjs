// Writes the JSON schemas of the custom resources that the chart and its examples have: `./run chart-schemas`.
//
// Their types come from the @kubernetes-models packages, which are made from the operators' own Go types. What the
// schemas know: every field, what is required, and what is one of a few words; unknown fields are refused. What they
// do not: patterns and lengths, which types cannot say.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PACKAGES = {
  '@kubernetes-models/apimachinery': '3.0.2',
  '@kubernetes-models/base': '6.0.1',
  '@kubernetes-models/external-secrets': '2.0.0',
  '@kubernetes-models/gateway-api': '2.0.0',
  '@kubernetes-models/keda': '2.0.0',
  '@kubernetes-models/prometheus-operator': '6.0.0',
  'ts-json-schema-generator': '2.9.0',
};
const KINDS = [
  ['gateway-api', 'gateway.networking.k8s.io', 'HTTPRoute', 'v1'],
  ['keda', 'keda.sh', 'ScaledObject', 'v1alpha1'],
  ['prometheus-operator', 'monitoring.coreos.com', 'PodMonitor', 'v1'],
  ['prometheus-operator', 'monitoring.coreos.com', 'PrometheusRule', 'v1'],
  ['external-secrets', 'external-secrets.io', 'ExternalSecret', 'v1'],
];
const INCLUDED = ['node_modules/@kubernetes-models/**/*.d.ts'];
const OPTIONS = { module: 'nodenext', moduleResolution: 'nodenext', strict: true, skipLibCheck: true };

const target = fileURLToPath(new URL('schemas/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'schemas-'));
try {
  const pinned = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
  const npm = ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', ...pinned];
  execFileSync('npm', npm, { cwd: folder, stdio: 'inherit' });
  const tsconfig = join(folder, 'tsconfig.json');
  writeFileSync(tsconfig, JSON.stringify({ compilerOptions: OPTIONS, include: INCLUDED }));
  const found = createRequire(join(folder, 'package.json')).resolve('ts-json-schema-generator');
  const { createGenerator } = await import(pathToFileURL(found));
  for (const old of readdirSync(target)) rmSync(join(target, old));
  for (const [pack, group, kind, version] of KINDS) {
    const path = join(folder, 'node_modules/@kubernetes-models', pack, group, version, `${kind}.d.ts`);
    const type = `I${kind}`;
    const generator = createGenerator({ path, tsconfig, type, skipTypeCheck: true, jsDoc: 'none', topRef: false });
    const schema = generator.createSchema(type);
    writeFileSync(join(target, `${group}_${kind}_${version}.json`), `${JSON.stringify(schema)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
