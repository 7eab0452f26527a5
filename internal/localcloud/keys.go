package localcloud

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/imds"
	"github.com/wpbake/wpbake/internal/wire"
)

const (
	rootPrefix = "AKIA" // of the account's access key
	rolePrefix = "ASIA" // of temporary access keys
	// roleLife is how long instances' credentials are good at least; new ones
	// come every hour.
	roleLife = time.Hour
)

// keys are the account's key pair and the temporary ones made of it. Those
// carry their end and their instance in the access key, so that none is kept.
type keys struct{ access, secret string }

func newAccessKey() string { return rootPrefix + rand.Text()[:16] }

// isRole tells instances' access keys from the account's own.
func isRole(accessKey string) bool { return strings.HasPrefix(accessKey, rolePrefix) }

func (k keys) find(accessKey string) (wire.Key, bool) {
	if accessKey == k.access {
		return wire.Key{Secret: k.secret}, true
	}
	expires, ok := expiryOf(accessKey)
	if !ok {
		return wire.Key{}, false
	}
	return wire.Key{Secret: k.derive("secret", accessKey), Token: k.derive("token", accessKey), Expires: expires}, true
}

// issue makes an instance's credentials of this hour.
func (k keys) issue(instanceID string, now time.Time) imds.Credentials {
	issued := now.UTC().Truncate(time.Hour)
	expires := issued.Add(time.Hour + roleLife)
	var content [10]byte
	binary.BigEndian.PutUint64(content[:8], uint64(expires.Unix())<<24)
	name := sha256.Sum256([]byte(instanceID))
	copy(content[5:], name[:5])
	accessKey := rolePrefix + base32.StdEncoding.EncodeToString(content[:])
	return imds.Credentials{
		AccessKey: accessKey, SecretKey: k.derive("secret", accessKey), Token: k.derive("token", accessKey),
		Issued: issued, Expires: expires,
	}
}

func expiryOf(accessKey string) (time.Time, bool) {
	encoded, ok := strings.CutPrefix(accessKey, rolePrefix)
	content, err := base32.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(content) != 10 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(content[:8])>>24), 0).UTC(), true
}

func (k keys) derive(what, accessKey string) string {
	mac := hmac.New(sha256.New, []byte(k.secret))
	mac.Write([]byte(what + " " + accessKey))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
