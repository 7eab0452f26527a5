package scan

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/wordpress/php"
)

// Signature is something that a file's content can show. Notes of a check hold
// its number, so new ones come last.
type Signature byte

const (
	AccessKey        Signature = iota // an AWS access key id
	PrivateKey                        // a private key
	PHPInfo                           // phpinfo()
	SessionStart                      // session_start()
	FileTime                          // filemtime()
	WritesBeside                      // a file written beside the code
	MergeConflict                     // unresolved merge
	ZeroByte                          // a zero byte
	EncodedForLoader                  // code for a loader extension
	LFSPointer                        // of Git LFS, instead of the file
	RequiresAutoload                  // vendor/autoload.php is required
	ReadsManifest                     // a manifest of assets is read
	CloudKey                          // a key of another cloud's
	PaymentKey                        // a key of a payment service or a shop
	ServiceToken                      // a token of a mail, code or chat service
	Signatures                        // how many there are
)

// Match is a signature that was found, and its line.
type Match struct {
	Signature Signature
	Line      int
}

// How much of a file is read.
const (
	MaxPHP  = 2 << 20
	MaxText = 512 << 10

	maxOther = 1 << 10
)

// worthReading says how much of a file is worth reading: 0 is nothing.
func worthReading(f *File) int64 {
	if !f.Regular() || f.Info.Size() == 0 {
		return 0
	}
	switch strings.ToLower(path.Ext(f.Path)) {
	case ".php", ".inc", ".phtml":
		return MaxPHP
	case ".json", ".yml", ".yaml", ".ini", ".conf", ".txt", ".sh", ".env", ".cfg", ".toml", ".xml", ".neon", "":
		return MaxText
	}
	if f.Info.Size() <= maxOther {
		return maxOther // may be a pointer of Git LFS
	}
	return 0
}

var privateKeyBlock = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)

// find finds signatures in the part of a file that was read.
func find(f *File, b []byte) []Match {
	m := matcher{src: b}
	if bytes.HasPrefix(b, []byte("version https://git-lfs.github.com/spec/")) {
		m.add(LFSPointer, 0)
	}
	m.secrets()
	if f.IsPHP() {
		m.php()
	}
	return m.matches
}

type matcher struct {
	src     []byte
	matches []Match
}

func (m *matcher) add(s Signature, offset int) {
	m.matches = append(m.matches, Match{s, 1 + bytes.Count(m.src[:offset], []byte{'\n'})})
}

func (m *matcher) secrets() {
	m.keys()
	if i := bytes.Index(m.src, []byte(`"private_key"`)); i >= 0 && json.Valid(m.src) {
		m.add(PrivateKey, i)
	} else if bytes.Contains(m.src, []byte("PRIVATE KEY-----")) {
		if at := privateKeyBlock.FindIndex(m.src); at != nil {
			m.add(PrivateKey, at[0])
		}
	}
}

// php finds calls by their text: comments and strings count too, so these are
// hints and block nothing.
func (m *matcher) php() {
	for _, call := range []struct {
		text      string
		signature Signature
	}{
		{"phpinfo", PHPInfo}, {"session_start", SessionStart}, {"filemtime", FileTime},
	} {
		if i := m.call(call.text); i >= 0 {
			m.add(call.signature, i)
		}
	}
	for _, text := range []struct {
		text      string
		signature Signature
	}{{"vendor/autoload.php", RequiresAutoload}, {"manifest.json", ReadsManifest}, {"\x00", ZeroByte}} {
		if i := bytes.Index(m.src, []byte(text.text)); i >= 0 {
			m.add(text.signature, i)
		}
	}
	m.loader()
	m.merge()
	m.writes()
}

// call finds "name(", not as the end of another name or a method.
func (m *matcher) call(name string) int {
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

func (m *matcher) loader() {
	start := m.src[:min(len(m.src), maxOther)]
	for _, name := range []string{"ioncube_loader", "ionCube", "sg_load", "SourceGuardian", "Zend Guard"} {
		if i := bytes.Index(start, []byte(name)); i >= 0 {
			m.add(EncodedForLoader, i)
			return
		}
	}
}

// merge finds all three signs that git leaves in a conflict.
func (m *matcher) merge() {
	i := bytes.Index(m.src, []byte("<<<<<<< "))
	if i < 0 || i > 0 && m.src[i-1] != '\n' {
		return
	}
	if bytes.Contains(m.src[i:], []byte("\n=======")) && bytes.Contains(m.src[i:], []byte("\n>>>>>>> ")) {
		m.add(MergeConflict, i)
	}
}

// writes finds a call that writes with the code's own directory in its line.
func (m *matcher) writes() {
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
				m.add(WritesBeside, i)
				return
			}
		}
	}
}
