package artifact

import (
	"errors"
	"fmt"
)

// Errors of places that have owners and locks. Stores wrap them, so that a
// caller can tell a person what to mend.
var (
	ErrCredentials = errors.New("credentials are missing, wrong or expired")
	ErrDenied      = errors.New("access denied")
	ErrNoBucket    = errors.New("no such bucket")
)

// VersionTaken refuses to publish: the version's name already stands for
// other bytes, and a published version never changes.
type VersionTaken struct {
	Version Version // what was to be published
	Taken   Version // the name in the store, which may differ in case
	Want    Digest  // manifest that was to be published
	Have    Digest  // manifest that is published; empty when there is none yet
}

func (e *VersionTaken) Error() string {
	switch {
	case e.Taken != e.Version:
		return fmt.Sprintf("publishing %q: %q is published, and the two differ only in case", e.Version, e.Taken)
	case e.Have == "":
		return fmt.Sprintf("publishing %q: an unfinished publication of other bytes holds the name", e.Version)
	default:
		return fmt.Sprintf("publishing %q: already published with other bytes, manifest %s, not %s", e.Version, e.Have.Short(), e.Want.Short())
	}
}

// Hint says what to do next.
func (e *VersionTaken) Hint() string {
	if e.Have == "" && e.Taken == e.Version {
		return fmt.Sprintf("publish under another version; or, if nobody is publishing %s, delete %s%s", e.Version, ReleasePrefix(e.Version), TarballName)
	}
	return "publish under another version: a published one never changes"
}

// NotPublished says that a store holds no such version. It wraps ErrNotFound.
type NotPublished struct{ Version Version }

func (e *NotPublished) Error() string { return fmt.Sprintf("version %q is not published", e.Version) }

// Unwrap returns ErrNotFound.
func (e *NotPublished) Unwrap() error { return ErrNotFound }

// Hint says what to do next.
func (e *NotPublished) Hint() string {
	return fmt.Sprintf("wpbake show lists what is published; wpbake publish %s publishes it", e.Version)
}

// OtherManifest refuses a version whose manifest has another digest than was
// asked for. Nothing of the manifest was parsed; it wraps a *Damaged.
type OtherManifest struct {
	Version Version
	Want    Digest // asked for
	Have    Digest // of the store's manifest
}

func (e *OtherManifest) Error() string {
	return fmt.Sprintf("version %q has manifest %s in the store, not %s as asked for", e.Version, e.Have, e.Want)
}

// Unwrap returns the *Damaged that such a manifest is.
func (e *OtherManifest) Unwrap() error {
	return Unreadf(ReleasePrefix(e.Version)+ManifestName, "it has another digest than was asked for")
}

// Hint says what to do next. It offers no way to take the store's: who forged
// that would be believed.
func (e *OtherManifest) Hint() string {
	return "compare with what wpbake publish printed: correct a digest that was mistyped; otherwise find out who wrote the store's, and publish the tree under a new version"
}

// Damaged refuses bytes that are not what the manifest, or the format, says.
type Damaged struct {
	Name   string // object or path
	Reason string
	Unread bool // a digest or a length told: nothing of these bytes was decoded or parsed
}

func (e *Damaged) Error() string { return fmt.Sprintf("verifying %q: %s", e.Name, e.Reason) }

// Hint says what to do next.
func (e *Damaged) Hint() string {
	return "do not use these bytes: find out who wrote them, then publish the tree under a new version"
}

// Damagef refuses bytes, named by their object or path, for a reason.
func Damagef(name, format string, args ...any) error {
	return &Damaged{Name: name, Reason: fmt.Sprintf(format, args...)}
}

// Unreadf refuses bytes before any meaning was read into them.
func Unreadf(name, format string, args ...any) error {
	return &Damaged{Name: name, Reason: fmt.Sprintf(format, args...), Unread: true}
}
