package rules

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/wordpress/php"
)

// markKind is something that a file's content shows.
type markKind byte

const (
	markAccessKey  markKind = iota // an AWS access key id
	markPrivateKey                 // a private key
	markPHPInfo                    // phpinfo()
	markSession                    // session_start()
	markFileTime                   // filemtime()
	markWrites                     // a file written beside the code
	markMerge                      // unresolved merge
	markNUL                        // a zero byte
	markLoader                     // code for a loader extension
	markPointer                    // of Git LFS, instead of the file
	markAutoload                   // vendor/autoload.php is required
	markManifest                   // a manifest of assets is read
	markKinds                      // how many there are
)

// mark is a sign and its line.
type mark struct {
	kind markKind
	line int
}

// How much of a file is read.
const (
	lookPHP   = 2 << 20
	lookText  = 512 << 10
	lookStart = 1 << 10
	lookMedia = 4 << 10
)

// lookLimit says how much of a file is worth reading: 0 is nothing.
func lookLimit(f *file) int64 {
	if !f.regular() || f.info.Size() == 0 {
		return 0
	}
	switch strings.ToLower(path.Ext(f.path)) {
	case ".php", ".inc", ".phtml":
		return lookPHP
	case ".json", ".yml", ".yaml", ".ini", ".conf", ".txt", ".sh", ".env", ".cfg", ".toml", ".xml", ".neon", "":
		return lookText
	}
	if f.info.Size() <= lookStart {
		return lookStart // may be a pointer of Git LFS
	}
	return 0
}

// accessKey is what AWS's access key ids look like; AWS's own documents use
// AKIAIOSFODNN7EXAMPLE.
var accessKey = regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)

var privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)

// marksOf finds signs in the part of a file that was read.
func marksOf(f *file, b []byte) []mark {
	m := marker{src: b}
	if bytes.HasPrefix(b, []byte("version https://git-lfs.github.com/spec/")) {
		m.add(markPointer, 0)
	}
	m.secrets()
	if f.php() {
		m.php()
	}
	return m.marks
}

type marker struct {
	src   []byte
	marks []mark
}

func (m *marker) add(k markKind, offset int) {
	m.marks = append(m.marks, mark{k, 1 + bytes.Count(m.src[:offset], []byte{'\n'})})
}

func (m *marker) secrets() {
	for _, prefix := range []string{"AKIA", "ASIA"} {
		if i := bytes.Index(m.src, []byte(prefix)); i >= 0 {
			for _, at := range accessKey.FindAllIndex(m.src, 10) {
				if string(m.src[at[0]:at[1]]) != "AKIAIOSFODNN7EXAMPLE" {
					m.add(markAccessKey, at[0])
				}
			}
			break
		}
	}
	if i := bytes.Index(m.src, []byte(`"private_key"`)); i >= 0 && json.Valid(m.src) {
		m.add(markPrivateKey, i)
	} else if bytes.Contains(m.src, []byte("PRIVATE KEY-----")) {
		if at := privateKey.FindIndex(m.src); at != nil {
			m.add(markPrivateKey, at[0])
		}
	}
}

// php finds calls by their text: comments and strings count too, so these are
// hints and block nothing.
func (m *marker) php() {
	for _, call := range []struct {
		text string
		kind markKind
	}{
		{"phpinfo", markPHPInfo}, {"session_start", markSession}, {"filemtime", markFileTime},
	} {
		if i := m.call(call.text); i >= 0 {
			m.add(call.kind, i)
		}
	}
	for _, sign := range []struct {
		text string
		kind markKind
	}{{"vendor/autoload.php", markAutoload}, {"manifest.json", markManifest}, {"\x00", markNUL}} {
		if i := bytes.Index(m.src, []byte(sign.text)); i >= 0 {
			m.add(sign.kind, i)
		}
	}
	m.loader()
	m.merge()
	m.writes()
}

// call finds "name(", not as the end of another name or a method.
func (m *marker) call(name string) int {
	for from := 0; ; {
		i := bytes.Index(m.src[from:], []byte(name))
		if i < 0 {
			return -1
		}
		i += from
		from = i + len(name)
		rest := bytes.TrimLeft(m.src[from:min(len(m.src), from+8)], " ")
		if bytes.HasPrefix(rest, []byte("(")) && (i == 0 || !php.WordByte(m.src[i-1]) && m.src[i-1] != '>' && m.src[i-1] != ':') && !declared(m.src[:i]) {
			return i
		}
	}
}

// declared reports whether the word before is "function".
func declared(before []byte) bool {
	return bytes.HasSuffix(bytes.TrimRight(before, " "), []byte("function"))
}

func (m *marker) loader() {
	start := m.src[:min(len(m.src), lookStart)]
	for _, name := range []string{"ioncube_loader", "ionCube", "sg_load", "SourceGuardian", "Zend Guard"} {
		if i := bytes.Index(start, []byte(name)); i >= 0 {
			m.add(markLoader, i)
			return
		}
	}
}

// merge finds all three signs that git leaves in a conflict.
func (m *marker) merge() {
	i := bytes.Index(m.src, []byte("<<<<<<< "))
	if i < 0 || i > 0 && m.src[i-1] != '\n' {
		return
	}
	if bytes.Contains(m.src[i:], []byte("\n=======")) && bytes.Contains(m.src[i:], []byte("\n>>>>>>> ")) {
		m.add(markMerge, i)
	}
}

// writes finds a call that writes with the code's own directory in its line.
func (m *marker) writes() {
	for _, name := range []string{"file_put_contents", "fopen", "mkdir", "copy"} {
		i := m.call(name)
		if i < 0 {
			continue
		}
		line, _, _ := bytes.Cut(m.src[i:min(len(m.src), i+500)], []byte{'\n'})
		if name == "fopen" && !bytes.ContainsAny(line, "wax+") {
			continue
		}
		for _, own := range []string{"__DIR__", "__FILE__", "plugin_dir_path", "WP_PLUGIN_DIR", "get_template_directory", "get_stylesheet_directory"} {
			if bytes.Contains(line, []byte(own)) {
				m.add(markWrites, i)
				return
			}
		}
	}
}
