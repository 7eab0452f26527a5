package runner

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParseUserData(t *testing.T) {
	const multi = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n"
	for _, test := range []struct {
		name, in string
		scripts  []string // NAME:BODY
		notes    []string // substrings
	}{
		{name: "nothing"},
		{name: "blank", in: " \n"},
		{name: "script", in: "#!/bin/sh\necho\n", scripts: []string{":#!/bin/sh\necho\n"}},
		{name: "packed script", in: packed(t, "#!/bin/sh\n"), scripts: []string{":#!/bin/sh\n"}},
		{name: "cloud-config", in: "#cloud-config\n{}\n", notes: []string{"text/cloud-config is not executed"}},
		{name: "nonsense", in: "hello", notes: []string{"text/x-not-multipart is not executed"}},
		{
			name:    "two parts",
			in:      multi + "--b\nContent-Type: text/x-shellscript\nContent-Disposition: attachment; filename=\"a.sh\"\n\n#!a\n--b\nContent-Type: text/x-shellscript; charset=utf-8\n\n#!b\n\n--b--\n",
			scripts: []string{"a.sh:#!a", ":#!b\n"},
		},
		{
			name:    "encodings",
			in:      multi + "--b\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("#!a\n")) + "\n--b\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: quoted-printable\n\n#!b=3D\n--b\nContent-Type: application/x-gzip\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(packed(t, "#!c\n"))) + "\n--b--\n",
			scripts: []string{":#!a\n", ":#!b=", ":#!c\n"},
		},
		{
			name:    "windows",
			in:      strings.ReplaceAll(multi+"--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n--b--\n", "\n", "\r\n"),
			scripts: []string{":#!/bin/sh\necho"},
		},
		{
			name:    "untyped and nested",
			in:      multi + "--b\nContent-Type: text/plain\n\n#!a\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\n#!b\n--c--\n--b\nContent-Type: text/cloud-boothook\n\n#!c\n--b--\n",
			scripts: []string{":#!a", ":#!b"}, notes: []string{"text/cloud-boothook"},
		},
		{name: "packed multipart", in: packed(t, multi+"--b\n\n#!a\n--b--\n"), scripts: []string{":#!a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseUserData([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			var scripts []string
			for _, s := range got.scripts {
				scripts = append(scripts, s.name+":"+string(s.body))
			}
			if strings.Join(scripts, "|") != strings.Join(test.scripts, "|") || len(got.notes) != len(test.notes) {
				t.Fatalf("scripts %q, notes %q", scripts, got.notes)
			}
			for i, note := range test.notes {
				if !strings.Contains(got.notes[i], note) {
					t.Errorf("note %q lacks %q", got.notes[i], note)
				}
			}
		})
	}
}

func TestParseUserDataRefuses(t *testing.T) {
	nested := "MIME-Version: 1.0\n"
	for i := range 20 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%[1]d\n\n--b%[1]d\n", i)
	}
	for name, in := range map[string]string{
		"no gzip": "\x1f\x8bx", "cut gzip": packed(t, "#!/bin/sh\n")[:15], "bomb": packed(t, strings.Repeat("x", 17<<20)),
		"nesting": nested, "cut multipart": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!a\n",
	} {
		if got, err := parseUserData([]byte(in)); err == nil {
			t.Errorf("%s was taken: %d scripts, notes %q", name, len(got.scripts), got.notes)
		}
	}
}

func FuzzParseUserData(f *testing.F) {
	f.Add([]byte("#!/bin/sh\necho\n"))
	f.Add([]byte("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!a\n--b--\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := parseUserData(in)
		if err != nil && (len(got.scripts) > 0 || len(got.notes) > 0) {
			t.Fatal("half of a broken message was taken")
		}
	})
}
