package packerexec

import "strings"

const withheld = "(withheld)"

// secrets takes out of a stream of texts what nobody may read: credentials
// that Packer was given, and private keys, of which each line may come as a
// text of its own. Packer 1.15 filters sensitive values out of its ordinary
// output, but not out of the machine-readable one.
type secrets struct {
	values *strings.Replacer
	inKey  bool
}

const (
	keyBegins = "-----BEGIN "
	keyEnds   = "-----END "
	keyKind   = "PRIVATE KEY"
)

// newSecrets withholds values; short ones are no secrets.
func newSecrets(values []string) *secrets {
	var pairs []string
	for _, v := range values {
		if len(v) >= 8 {
			pairs = append(pairs, v, withheld)
		}
	}
	return &secrets{values: strings.NewReplacer(pairs...)}
}

// clean is text without secrets. Texts must come in their order.
func (s *secrets) clean(text string) string {
	text = s.values.Replace(text)
	if !s.inKey && !strings.Contains(text, keyBegins) {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	var kept strings.Builder
	for _, line := range lines {
		kept.WriteString(s.cleanLine(line))
	}
	return kept.String()
}

// cleanLine withholds a key from its first line to its last. What else is on
// those lines goes with it: escapes make line ends uncertain.
func (s *secrets) cleanLine(line string) string {
	begins := strings.Index(line, keyBegins)
	if !s.inKey && (begins < 0 || !strings.Contains(line[begins:], keyKind)) {
		return line
	}
	first := !s.inKey
	s.inKey = true
	if ends := strings.LastIndex(line, keyEnds); ends >= 0 && ends > begins {
		s.inKey = false
	}
	switch {
	case first && strings.HasSuffix(line, "\n"):
		return line[:begins] + withheld + "\n"
	case first:
		return line[:begins] + withheld
	}
	return ""
}
