package artifact

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Version is the operator's label of a release, such as "v42". Two versions
// that differ only in case are the same version.
type Version string

var versionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// ParseVersion accepts a letter or digit followed by up to 62 letters, digits,
// dots, underscores and hyphens. The words latest, current and previous are
// refused: they would read as pointers, and nothing here points.
func ParseVersion(s string) (Version, error) {
	if !versionPattern.MatchString(s) {
		return "", fmt.Errorf("version %q: want a letter or digit, then up to 62 of letters, digits, '.', '_', '-'", s)
	}
	switch strings.ToLower(s) {
	case "latest", "current", "previous":
		return "", fmt.Errorf("version %q is reserved: a version names one release for ever", s)
	}
	return Version(s), nil
}

// ReleasesPrefix is the folder that holds all versions in a store.
const ReleasesPrefix = "releases/"

// ReleasePrefix is the folder that holds a version in a store, with its final
// slash.
func ReleasePrefix(v Version) string { return ReleasesPrefix + string(v) + "/" }

// RolloutPrefix is the folder that holds a group's rollouts in a store, with
// its final slash. The group's name is percent-encoded.
func RolloutPrefix(group string) string { return "rollouts/" + url.PathEscape(group) + "/" }
