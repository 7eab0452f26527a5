package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
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

// Mark says who bakes what.
type Mark struct {
	Version  artifact.Version
	Manifest artifact.Digest
	Store    string
	Run      string
	Holder   Holder
	Expires  time.Time // when this bake has surely ended
}

// Tags are the mark's.
func (m Mark) Tags() map[string]string {
	return map[string]string{
		TagVersion: string(m.Version), TagManifest: string(m.Manifest), TagStore: m.Store,
		TagRun: m.Run, TagHolder: m.Holder.Tag(), TagExpires: m.Expires.UTC().Format(time.RFC3339),
	}
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

// HolderOf undoes Holder.Tag. The host stays as HostTag made it.
func HolderOf(tag string) Holder {
	last := strings.LastIndexByte(tag, ' ') // a name can hold spaces
	if parts := strings.Split(tag[last+1:], "/"); last >= 0 && len(parts) == 3 {
		if pid, err := strconv.Atoi(parts[1]); err == nil {
			return Holder{Name: tag[:last], Host: parts[0], PID: pid, Started: parts[2]}
		}
	}
	return Holder{Name: tag}
}
