package wpconfig

import (
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

// sources lists the names and strings that a computed value is made of.
func sources(tokens []php.Token) []string {
	var names []string
	for _, t := range tokens {
		if t.Kind != php.TokenSign && t.Text != "" {
			names = append(names, printable.Cut(t.Text, 200))
		}
	}
	return names
}

// environmentOf reads getenv( 'X' ), env( 'X' ), getenv_docker( 'X', 'y' ),
// $_ENV['X'] and $_SERVER['X'], each with ?: 'y' or ?? 'y' behind it or not.
func environmentOf(tokens []php.Token) (variable, fallback string) {
	if len(tokens) < 4 || tokens[2].Kind != php.TokenString {
		return "", ""
	}
	variable = tokens[2].Text
	rest := tokens[3:]
	switch word, opening := tokens[0], tokens[1]; {
	case opening.Sign('(') && (word.Word("getenv") || word.Word("env") || word.Word("getenv_docker")):
		if len(rest) > 2 && rest[0].Sign(',') {
			if rest[1].Kind == php.TokenString {
				fallback = rest[1].Text
			}
			rest = rest[2:]
		}
		if !rest[0].Sign(')') {
			return "", ""
		}
	case opening.Sign('[') && word.Kind == php.TokenVariable && (word.Text == "_ENV" || word.Text == "_SERVER"):
		if !rest[0].Sign(']') {
			return "", ""
		}
	default:
		return "", ""
	}
	switch rest = rest[1:]; {
	case len(rest) == 0:
		return variable, fallback
	case len(rest) >= 3 && rest[0].Sign('?') && (rest[1].Sign(':') || rest[1].Sign('?')):
		if len(rest) == 3 && rest[2].Kind == php.TokenString {
			fallback = rest[2].Text
		}
		return variable, fallback
	}
	return "", ""
}
