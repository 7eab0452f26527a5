package node

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
)

// environmentFile is the file of variables that services read.
type environmentFile struct {
	parameters Parameters
	config     Environment
	digest     artifact.Digest // of the release that is served
	journal    *journal
}

// write is the stage that reads the parameters and replaces the file. From here
// on the journal knows what is secret.
func (f environmentFile) write(ctx context.Context) error {
	env, err := readEnvironment(ctx, f.parameters, f.config.Path)
	if err != nil {
		return err
	}
	f.journal.secrets = env.redactor()
	if f.config.CacheSalt == CacheSaltRelease {
		env.saltCache(f.digest)
	}
	return disk.WriteFile(f.config.File, env.bytes(), 0o600)
}

// environment is what the parameters below a path say, by variable name.
type environment map[string]string

var variableName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// readEnvironment gets the parameters and refuses names that no shell would
// take as a variable. Values never appear in its errors.
func readEnvironment(ctx context.Context, p Parameters, path string) (environment, error) {
	got, err := p.Get(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("reading parameters below %q: %w", path, err)
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("reading parameters below %q: there are none", path)
	}
	env := environment{}
	for key, value := range got {
		name := strings.TrimPrefix(strings.TrimPrefix(key, path), "/")
		if !variableName.MatchString(name) {
			return nil, fmt.Errorf("parameter %q: its name is no environment variable (A-Z, 0-9 and _)", key)
		}
		if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("parameter %q: its value is not text", key)
		}
		env[name] = value
	}
	return env, nil
}

// bytes is the environment as lines of KEY="value", sorted. Double quotes with
// these four signs escaped mean the same to a POSIX shell's dot command and to
// systemd's EnvironmentFile; single quotes do not.
func (e environment) bytes() []byte {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")
	var out strings.Builder
	for _, name := range e.names() {
		out.WriteString(name + `="` + escape.Replace(e[name]) + "\"\n")
	}
	return []byte(out.String())
}

// The variable from which wp-config.php takes the prefix of cached objects.
const cacheSalt = "WP_CACHE_KEY_SALT"

// saltCache adds the release to what the parameters say: environments that
// share a cache stay apart as before.
func (e environment) saltCache(manifest artifact.Digest) {
	e[cacheSalt] += manifest.Short() + ":"
}

func (e environment) names() []string {
	names := make([]string, 0, len(e))
	for name := range e {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var secretName = regexp.MustCompile(`PASS|SECRET|TOKEN|KEY|SALT|NONCE|CREDENTIAL|AUTH|DSN`)

// redactor replaces values by their names in what leaves the node: those whose
// name says secret, and every long one, since a URL can hold a password. Very
// short values would tear unrelated text apart.
func (e environment) redactor() *strings.Replacer {
	const short, long = 4, 16 // bytes
	names := slices.DeleteFunc(e.names(), func(name string) bool {
		n := len(e[name])
		return n < short || n < long && !secretName.MatchString(name)
	})
	slices.SortStableFunc(names, func(a, b string) int { return len(e[b]) - len(e[a]) }) // the longest match first
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, e[name], "["+name+"]")
	}
	return strings.NewReplacer(pairs...)
}

// readEnvironmentFile reads back what environmentFile wrote. A node without an
// environment has none.
func readEnvironmentFile(e Environment) (environment, error) {
	if e.Path == "" {
		return environment{}, nil
	}
	content, err := os.ReadFile(e.File)
	if err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	return parseEnvironment(string(content)), nil
}

// parseEnvironment undoes environment.bytes. Values may hold newlines.
func parseEnvironment(text string) environment {
	env := environment{}
	for text != "" {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok {
			break
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			value.WriteByte(rest[i])
		}
		env[name] = value.String()
		text = strings.TrimPrefix(rest[min(i+1, len(rest)):], "\n")
	}
	return env
}
