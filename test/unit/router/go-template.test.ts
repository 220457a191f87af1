/** Templates as users of `weave report -f` write them, and those that want to do harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../../core/errors.js';
import { runTemplate } from '../../../router/go-template.js';
import { mapOf, presentList } from '../../../router/report-json.js';

const data = {
  Version: '2.8.1',
  Ready: true,
  Router: {
    Name: '82:00:00:00:00:01',
    NickName: 'host1',
    Port: 6783,
    UID: 9856658877133865692n,
    Targets: ['a', 'b'],
    None: [],
    TrustedSubnets: presentList([]),
    Attrs: mapOf({ name: 'sleeve', mtu: 1438 }),
    Peers: [
      { Name: 'p1', Up: true },
      { Name: 'p2', Up: false },
    ],
  },
  DNS: undefined,
};

function render(template: string): string {
  const result = runTemplate(template, data);
  return result.ok ? result.text : `FAILED after "${result.text}"`;
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['{{.Version}}', '2.8.1'],
  ['{{ .Router.Name }}', '82:00:00:00:00:01'],
  ['{{json .Router.Name}}', '"82:00:00:00:00:01"'],
  ['{{json .Router.UID}} {{.Router.UID}}', '9856658877133865692 9856658877133865692'],
  ['{{json .Router.None}} {{json .Router.TrustedSubnets}}', 'null []'],
  ['{{json .DNS}}', 'null'],
  ['{{range .Router.Targets}}{{.}}{{"\\n"}}{{end}}', 'a\nb\n'],
  ['{{range .Router.None}}x{{else}}none{{end}}', 'none'],
  ['{{range $i, $t := .Router.Targets}}{{$i}}={{$t}} {{end}}', '0=a 1=b '],
  ['{{range .Router.Peers}}{{.Name}}{{if .Up}}+{{else}}-{{end}}{{end}}', 'p1+p2-'],
  ['{{range .Router.Peers}}{{$.Version}}{{end}}', '2.8.12.8.1'],
  ['{{range $k, $v := .Router.Attrs}}{{$k}}={{$v}};{{end}}', 'mtu=1438;name=sleeve;'],
  ['{{len .Router.Targets}}', '2'],
  ['{{len .Router.None}}', '0'],
  ['{{index .Router.Targets 1}} {{index .Router.Attrs "mtu"}}', 'b 1438'],
  ['{{with .Router.Name}}[{{.}}]{{end}}{{with .DNS}}x{{else}}off{{end}}', '[82:00:00:00:00:01]off'],
  ['{{if and .Ready (eq .Router.Port 6783)}}yes{{end}}', 'yes'],
  ['{{if or .DNS .Router.None}}yes{{else}}no{{end}}', 'no'],
  ['{{if not .DNS}}no dns{{end}}', 'no dns'],
  ['{{if eq .Version "1" "2.8.1"}}a{{else if .Ready}}b{{end}}', 'a'],
  ['{{if ne .Version "2.8.1"}}a{{else if .Ready}}b{{else}}c{{end}}', 'b'],
  ['{{if lt 1 2}}{{if le 2 2}}{{if gt "b" "a"}}{{if ge 3 3}}ok{{end}}{{end}}{{end}}{{end}}', 'ok'],
  ['{{$x := .Version}}{{$x}}{{$x = "new"}}{{$x}}', '2.8.1new'],
  ['{{.Version | printf "%s-%s" "v" | len}}', '7'],
  [
    '{{printf "%-6s|%6s|%03d|%q|%v" "ab" "cd" 7 "e" .Router.Targets}}',
    'ab    |    cd|007|"e"|[a b]',
  ],
  [
    '{{printf "%d" "x"}}{{printf "%s"}}{{printf "a" 1}}',
    '%!d(string=x)%!s(MISSING)a%!(EXTRA int=1)',
  ],
  ['a  {{- /* note */ -}}  b {{- 1 -}} c', 'ab1c'],
  ['{{`raw "text"`}}', 'raw "text"'],
  ['{{.Router.Attrs}} {{.Router.Attrs.nope}}', 'map[mtu:1438 name:sleeve] <no value>'],
  ['{{(index .Router.Peers 0).Name}}', 'p1'],
  ['{{.Router.Targets}} {{true}} {{-5}}', '[a b] true -5'],
  ['{{print "a" "b"}}{{println "c" 1}}', 'abc 1\n'],
];

test('templates print what the original prints', () => {
  for (const [template, expected] of EXAMPLES) assert.equal(render(template), expected, template);
});

test('a template that does not fit the data fails after what was printed', () => {
  assert.equal(render('x{{.Nope}}'), 'FAILED after "x"');
  assert.equal(render('{{.DNS.Domain}}'), 'FAILED after ""');
  for (const template of [
    '{{.Version.X}}',
    '{{len 5}}',
    '{{index .Router.Targets 9}}',
    '{{if lt 1 "a"}}{{end}}',
    '{{range .Version}}{{end}}',
    '{{json}}',
    '{{.Version | .Ready}}',
  ]) {
    assert.match(render(template), /^FAILED/, template);
  }
});

test('a template that does not parse says why', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{{', /^template: format:1: unclosed action$/],
    ['\n\n{{.A', /^template: format:3: unclosed action$/],
    ['{{nope .}}', /function "nope" not defined/],
    ['{{$x}}', /undefined variable "\$x"/],
    ['{{if .A}}', /unexpected EOF/],
    ['{{end}}', /unexpected \{\{end\}\}/],
    ['{{}}', /missing value for command/],
    ['{{"a}}', /unterminated quoted string/],
    ['{{.A .B}}', /can't give argument to non-function/],
    ['{{(.A}}', /unclosed left paren/],
    ['{{/* a', /unclosed comment/],
    ['{{define "x"}}{{end}}', /function "define" not defined/],
    [`${'{{if 1}}'.repeat(70)}`, /nested deeper/],
    ['x'.repeat(70_000), /too long/],
  ];
  for (const [template, message] of wrong) {
    assert.throws(() => runTemplate(template, data), { name: 'DecodeError', message }, template);
  }
});

test('work and output are limited', () => {
  const many = { list: new Array(2000).fill(1), text: 'x'.repeat(10_000) };
  const nested = '{{range .list}}{{range $.list}}{{end}}{{end}}';
  assert.equal(runTemplate(nested, many).ok, false);
  const doubling = '{{$x := .text}}{{range .list}}{{$x = print $x $x}}{{end}}';
  assert.equal(runTemplate(doubling, many).ok, false);
  assert.equal(runTemplate('{{range .list}}{{$.text}}{{end}}', many).ok, false);
});

test('any text is run, or refused with DecodeError', () => {
  const piece = fc.constantFrom(
    ...['{{', '}}', '.Router', '.', ' ', '$x', ':=', 'range', 'if', 'end', 'else', '|', '(', ')'],
    ...['"a"', '`', '-', '5', 'json', 'printf', '/*', '*/', '%d', '\n', 'with', ',', '='],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 20 }), (pieces) => {
      try {
        runTemplate(pieces.join(''), data);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
