package userdata

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/mail"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
)

func testBoot() Boot {
	return Boot{
		Store:    "s3://releases.example.com/shop",
		Version:  "v42",
		Manifest: artifact.DigestOf([]byte("manifest of v42")),
		Group:    "shop",
		Run:      "20261123T201500Z-1a2b3c",
		Hook:     "wpbake-boot",
	}
}

const ownersScript = "#!/bin/bash\nset -eu\necho 'hello'\n"

const ownersMultipart = `Content-Type: multipart/mixed; boundary="MIMEBOUNDARY"
MIME-Version: 1.0
X-Owner: kept

preamble, kept
--MIMEBOUNDARY
Content-Disposition: attachment; filename="init.cfg"
Content-Transfer-Encoding: 7bit
Content-Type: text/cloud-config
Mime-Version: 1.0

#cloud-config
packages: [nginx]

--MIMEBOUNDARY
Content-Transfer-Encoding: base64
Content-Type: text/x-shellscript; charset="utf-8"

IyEvYmluL3NoCmVjaG8gZ3LDvMOfZQo=
--MIMEBOUNDARY
Content-Type: multipart/alternative; boundary=inner=1

--inner=1
Content-Type: text/x-shellscript

#!/bin/sh
echo nested
--inner=1--
--MIMEBOUNDARY--
epilogue, kept
`

func compose(t *testing.T, owner []byte, b Boot) []byte {
	t.Helper()
	out, err := Compose(owner, b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// message reads user data with the standard library's mail parser, a reader
// that shares no code with ours.
func message(t *testing.T, userData []byte) (contents []string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(userData))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(b))
	}
}

func TestComposeWritesTheContractsScript(t *testing.T) {
	b := testBoot()
	got := message(t, compose(t, nil, b))
	want := []string{"#!/bin/sh\n# wpbake boot: written by wpbake release, replaced by the next one\n" +
		"exec wpbake node boot --store 's3://releases.example.com/shop' --version 'v42' --manifest '" + string(b.Manifest) +
		"' --group 'shop' --run '20261123T201500Z-1a2b3c' --hook 'wpbake-boot'\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the owner had is still there, first, byte for byte.
func TestComposeKeepsTheOwners(t *testing.T) {
	for name, owner := range map[string]string{
		"script":               ownersScript,
		"script without end":   "#!/bin/sh\necho x",
		"script with CRLF":     "#!/bin/sh\r\necho x\r\n",
		"script in UTF-8":      "#!/bin/sh\necho grüße\n",
		"script with NUL":      "#!/bin/sh\necho \x00\xff\n",
		"script about mail":    "#!/bin/sh\ncat <<E\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x--\nE\n",
		"cloud-config":         "#cloud-config\npackages: [nginx]\n",
		"after empty lines":    "\n\n#cloud-config\n",
		"archive":              "#cloud-config-archive\n- content: x\n",
		"single MIME entity":   "MIME-Version: 1.0\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n",
		"looks like a divider": "#!/bin/sh\n--wpbake-0--\n",
	} {
		t.Run(name, func(t *testing.T) {
			out := compose(t, []byte(owner), testBoot())
			parts := message(t, out)
			want := owner
			if name == "single MIME entity" {
				want = "#!/bin/sh\n"
			}
			if len(parts) != 2 || parts[0] != want {
				t.Errorf("parts %q, want first %q", parts, want)
			}
			back, err := split(out)
			if err != nil || string(back) != owner {
				t.Errorf("split into %q, %v", back, err)
			}
		})
	}
}

func TestComposeInsertsIntoAMultipart(t *testing.T) {
	for name, owner := range map[string]string{
		"LF":   ownersMultipart,
		"CRLF": strings.ReplaceAll(ownersMultipart, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			out := string(compose(t, []byte(owner), testBoot()))
			head, tail, _ := strings.Cut(owner, "--MIMEBOUNDARY--")
			if !strings.HasPrefix(out, head) || !strings.HasSuffix(out, "--MIMEBOUNDARY--"+tail) {
				t.Errorf("the owner's bytes changed:\n%s", out)
			}
			parts := message(t, []byte(out))
			if len(parts) != 4 || !strings.Contains(parts[3], "exec wpbake node boot") {
				t.Errorf("parts %q", parts)
			}
			back, err := split([]byte(out))
			if err != nil || string(back) != owner {
				t.Errorf("split into %q, %v", back, err)
			}
		})
	}
}

func TestComposeClosesAnOpenMultipart(t *testing.T) {
	const open = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n"
	got := message(t, compose(t, []byte(open), testBoot()))
	if len(got) != 2 || got[0] != "#!/bin/sh\n" {
		t.Errorf("parts %q", got)
	}
}

// A second release replaces the first one's part, also where a tool has put
// the earlier user data inside a new multipart.
func TestComposeReplaces(t *testing.T) {
	first, second := testBoot(), testBoot()
	second.Version, second.Run = "v43", "20261124T090000Z-ffffff"
	for name, owner := range map[string][]byte{
		"empty":     nil,
		"script":    []byte(ownersScript),
		"UTF-8":     []byte("#!/bin/sh\necho grüße\n"),
		"multipart": []byte(ownersMultipart),
	} {
		t.Run(name, func(t *testing.T) {
			once := compose(t, compose(t, owner, first), second)
			if diff := cmp.Diff(string(compose(t, owner, second)), string(once)); diff != "" {
				t.Error(diff)
			}
			if got, ok := ParseBoot(once); !ok || got != second {
				t.Errorf("boot %+v, %v", got, ok)
			}
		})
	}
	t.Run("nested", func(t *testing.T) {
		outer := "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n\n--outer\n" +
			string(compose(t, []byte(ownersScript), first)) + "\n--outer--\n"
		if got, ok := ParseBoot([]byte(outer)); !ok || got != first {
			t.Errorf("nested boot %+v, %v", got, ok)
		}
		out := string(compose(t, []byte(outer), second))
		if strings.Count(out, bootFile) != 1 || strings.Contains(out, "'v42'") || !strings.Contains(out, ownersScript) {
			t.Errorf("composed:\n%s", out)
		}
	})
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestComposeUnpacksAndPacks(t *testing.T) {
	if got, want := compose(t, gzipped(t, []byte(ownersScript)), testBoot()), compose(t, []byte(ownersScript), testBoot()); !bytes.Equal(got, want) {
		t.Errorf("compressed input composed to\n%s", got)
	}

	large := []byte("#!/bin/sh\n" + strings.Repeat("# a long script\n", 2000))
	packed := compose(t, large, testBoot())
	if len(packed) > limit || !bytes.HasPrefix(packed, []byte{0x1f, 0x8b}) {
		t.Fatalf("%d bytes beginning %x", len(packed), packed[:2])
	}
	if !bytes.Equal(packed, compose(t, packed, testBoot())) {
		t.Error("composing again changed it")
	}
	if got, ok := ParseBoot(packed); !ok || got != testBoot() {
		t.Errorf("boot %+v, %v", got, ok)
	}
	if back, err := split(packed); err != nil || !bytes.Equal(back, large) {
		t.Errorf("split into %d bytes, %v", len(back), err)
	}
}

func TestComposeRefuses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dense := []byte("#!/bin/sh\n# ")
	for len(dense) < 2*limit {
		dense = append(dense, byte('!'+random.IntN(90)))
	}
	for name, owner := range map[string][]byte{
		"too large":            dense,
		"PowerShell":           []byte("<powershell>\nGet-Date\n</powershell>"),
		"settings":             []byte("[settings.host]\nx = 1\n"),
		"no boundary":          []byte("MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x--\n"),
		"boundary with escape": []byte("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"a\\\\b\"\n\n--x--\n"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compose(owner, testBoot())
			var hint interface{ Hint() string }
			if !errors.As(err, &hint) || hint.Hint() == "" || strings.Contains(hint.Hint(), "\n") {
				t.Errorf("got %v without a hint of one line", err)
			}
		})
	}
	if _, err := Compose([]byte{0x1f, 0x8b, 0, 0}, testBoot()); err == nil {
		t.Error("a broken gzip passed")
	}
	if _, err := Compose(gzipped(t, make([]byte, plainLimit+1)), testBoot()); err == nil {
		t.Error("a gzip bomb passed")
	}
	for name, change := range map[string]func(*Boot){
		"version":  func(b *Boot) { b.Version = "$(id)" },
		"manifest": func(b *Boot) { b.Manifest = "sha256:1" },
		"store":    func(b *Boot) { b.Store = "" },
		"group":    func(b *Boot) { b.Group = "a\nb" },
		"run":      func(b *Boot) { b.Run = "\xff" },
		"hook":     func(b *Boot) { b.Hook = "" },
	} {
		b := testBoot()
		change(&b)
		if _, err := Compose(nil, b); err == nil {
			t.Errorf("a boot with a bad %s passed", name)
		}
	}
}

func TestParseBootRefuses(t *testing.T) {
	named := func(script string) []byte { return wrap(mimeEntity(script)) }
	for name, data := range map[string][]byte{
		"nothing":       nil,
		"owner's alone": []byte(ownersMultipart),
		"other command": named("#!/bin/sh\necho\n"),
		"half a script": named(bootScriptHead + bootCommand + " --store 's3://b/p'\n"),
		"open quote":    named(bootScriptHead + bootCommand + " --store 's3://b/p\n"),
	} {
		if b, ok := ParseBoot(data); ok {
			t.Errorf("%s: parsed %+v", name, b)
		}
	}
}

// mimeEntity is a single MIME entity with wpbake's file name.
func mimeEntity(script string) []byte {
	return fmt.Appendf(nil, "MIME-Version: 1.0\n%s", mimePart("text/x-shellscript", bootFile, []byte(script)))
}

// A shell sees exactly the values, whatever quotes and signs they hold.
func TestShellSeesTheValues(t *testing.T) {
	for _, value := range []string{"plain", "it's", `'; touch /nowhere; '`, "$(id) `id` $HOME", `back\slash`, "ümlaut \"x\"", "'''"} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quoteShell(value)).Output()
		if err != nil || string(out) != value {
			t.Errorf("%q became %q, %v", value, out, err)
		}
	}
}

func FuzzUserData(f *testing.F) {
	for _, owner := range []string{"", ownersScript, ownersMultipart, "#cloud-config\n", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n--b", "MIME-Version: 1.0\nContent-Type: text/plain\n\n"} {
		f.Add([]byte(owner), "s3://b/p", "shop", "run", "hook")
		f.Add([]byte(owner), "dir:///a'b", `$(id)'"\`, "r u n", "hö ok")
	}
	f.Fuzz(func(t *testing.T, owner []byte, store, group, run, hook string) {
		b := testBoot()
		b.Store, b.Group, b.Run, b.Hook = store, group, run, hook
		out, err := Compose(owner, b)
		if err != nil {
			return
		}
		if got, ok := ParseBoot(out); !ok || got != b {
			t.Fatalf("boot %+v came back as %+v, %v", b, got, ok)
		}
		again := compose(t, out, testBoot())
		if want := compose(t, owner, testBoot()); !bytes.Equal(again, want) {
			t.Fatalf("composing twice:\n%q\nonce:\n%q", again, want)
		}
		rest, err := split(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ParseBoot(rest); ok {
			t.Fatalf("a boot is left in %q", rest)
		}
		script, err := b.script()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(script), "\n") != 3 {
			t.Fatalf("script of more than three lines: %q", script)
		}
	})
}

// split undoes Compose: it returns what that was given, unpacked,
// and with its multipart closed.
func split(userData []byte) ([]byte, error) {
	plain, err := unpack(userData)
	if err != nil {
		return nil, err
	}
	m, ok, err := parseMultipart(plain)
	if err != nil || !ok {
		return plain, err
	}
	m = m.without(isBootPart)
	if bytes.Equal(m.raw, wrap(nil)) {
		return nil, nil
	}
	for _, part := range m.parts() {
		for _, owner := range [][]byte{part, partContent(part)} {
			if bytes.Equal(m.raw, wrap(owner)) {
				return owner, nil
			}
		}
	}
	return m.raw, nil
}

// parts returns the outermost parts, headers included.
func (m mimeData) parts() [][]byte {
	var parts [][]byte
	ds := m.delimiters()
	for i, d := range ds {
		if !d.closing {
			start, end, _ := m.span(ds, i)
			parts = append(parts, m.raw[start:end])
		}
	}
	return parts
}
