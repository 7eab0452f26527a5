// Package owner says who makes a thing or holds a lock, in a form that fits the
// tags of what is made in an account.
//
// It knows the tags and how a process is told from one that is gone. It refuses
// to know what is made, and where.
package owner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tags of everything that baking makes in an account. A thing that is not
// finished, such as an instance or a pending snapshot, is dead when TagExpires
// is past or when TagHolder names a process that is known to be gone.
const (
	TagVersion  = "wpbake:version"
	TagManifest = "wpbake:manifest" // the release's identity
	TagStore    = "wpbake:store"    // its URL
	TagImage    = "wpbake:image"    // digest of the file system on a release volume
	TagRun      = "wpbake:run"      // one bake
	TagHolder   = "wpbake:holder"   // Holder.Tag
	TagExpires  = "wpbake:expires"  // RFC 3339, UTC
)

// Tags say who bakes what.
type Tags struct {
	Version  string // of the release
	Manifest string // its digest
	Store    string
	Run      string
	Holder   Holder
	Expires  time.Time // when this bake has surely ended
}

// Map is the tags as an account has them.
func (t Tags) Map() map[string]string {
	return map[string]string{
		TagVersion: t.Version, TagManifest: t.Manifest, TagStore: t.Store,
		TagRun: t.Run, TagHolder: t.Holder.Tag(), TagExpires: t.Expires.UTC().Format(time.RFC3339),
	}
}

// Holder names who holds the lock, for people and for telling a dead run.
type Holder struct {
	Name    string `json:"name"`           // user@host
	Host    string `json:"host,omitempty"` // with PID and Started: a process
	PID     int    `json:"pid,omitempty"`
	Started string `json:"started,omitempty"` // that process's start, as the host tells it
	Link    string `json:"link,omitempty"`    // the CI job
}

// Tag is the holder in the characters that tags may have: name, host, process.
func (h Holder) Tag() string {
	if h.PID == 0 {
		return h.Name
	}
	return fmt.Sprintf("%s %s/%d/%s", h.Name, HostTag(h.Host), h.PID, h.Started)
}

// HostTag is Holder.Host as Holder.Tag has it: a name of fixed length.
func HostTag(host string) string {
	sum := sha256.Sum256([]byte(host))
	return hex.EncodeToString(sum[:6])
}

// ParseHolder undoes Holder.Tag. The host stays as HostTag made it.
func ParseHolder(tag string) Holder {
	last := strings.LastIndexByte(tag, ' ') // a name can hold spaces
	if parts := strings.Split(tag[last+1:], "/"); last >= 0 && len(parts) == 3 {
		if pid, err := strconv.Atoi(parts[1]); err == nil {
			return Holder{Name: tag[:last], Host: parts[0], PID: pid, Started: parts[2]}
		}
	}
	return Holder{Name: tag}
}
