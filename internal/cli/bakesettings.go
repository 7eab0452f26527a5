package cli

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// BakeConfig is what is baked of a release, and how.
type BakeConfig struct {
	As             string // AsVolume, AsAMI, or empty for nothing
	Parent         string // a version, Current, or empty for none
	Regions        []string
	Accounts       []string
	KMSKey         string        // ARN, or keyDefault; empty: as the account does it
	DeprecateAfter time.Duration // of AMIs; 0 never
	InitializeRate int           // MiB/s, of release volumes; 0 as it comes
	Timeout        time.Duration
}

// What can be baked.
const (
	AsVolume = "volume"
	AsAMI    = "ami"
)

// keyDefault stands for the account's own key.
const keyDefault = "default"

// Budget is how long a bake may take.
func (b BakeConfig) Budget() time.Duration {
	return cmp.Or(b.Timeout, map[string]time.Duration{AsVolume: 30 * time.Minute, AsAMI: time.Hour}[b.As])
}

// Encrypted reports whether what is baked is to be encrypted.
func (b BakeConfig) Encrypted() bool { return b.KMSKey != "" }

// Key is the key to encrypt with, empty for the account's own.
func (b BakeConfig) Key() string {
	if b.KMSKey == keyDefault {
		return ""
	}
	return b.KMSKey
}

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)

func bakeSettings() []setting {
	return []setting{
		{key: "bake.as", kind: "FORM", usage: "what nodes get a release as, beside the artifact: volume (an EBS snapshot), ami (through Packer) or off (default off)",
			set: oneOf(func(c *Config, w string) {
				if c.Bake.As = w; w == Off {
					c.Bake.As = ""
				}
			}, AsVolume, AsAMI, Off)},
		{key: "bake.parent", kind: "VERSION", usage: "write only those blocks of a release volume that this version's has not, or that of current, which the group runs (default off: all blocks)", set: func(c *Config, v []string) error {
			switch c.Bake.Parent = v[0]; v[0] {
			case Off:
				c.Bake.Parent = ""
			case Current:
			default:
				_, err := artifact.ParseVersion(v[0])
				return err
			}
			return nil
		}},
		{key: "bake.regions", kind: "REGIONS", list: true, usage: "further regions to copy what is baked to", set: func(c *Config, v []string) error {
			c.Bake.Regions = v
			if i := slices.IndexFunc(v, func(r string) bool { return !regionName.MatchString(r) }); i >= 0 {
				return fmt.Errorf("%q: want a region such as eu-west-1", v[i])
			}
			return nil
		}},
		{key: "bake.accounts", kind: "ACCOUNTS", list: true, usage: "accounts that may use what is baked (12 digits each)", set: func(c *Config, v []string) error {
			c.Bake.Accounts = v
			if i := slices.IndexFunc(v, func(a string) bool { return !accountID.MatchString(a) }); i >= 0 {
				return fmt.Errorf("%q: want an account id of 12 digits", v[i])
			}
			return nil
		}},
		{key: "bake.kms_key", kind: "ARN", usage: "encrypt what is baked with this key; default is the account's own (without it, as the account is set up)",
			set: text(func(c *Config) *string { return &c.Bake.KMSKey })},
		{key: "bake.deprecate_after", kind: "DURATION", usage: "mark AMIs as deprecated this long after they were made, such as 2160h (default never)",
			set: duration(time.Hour, 10*365*24*time.Hour, func(c *Config, d time.Duration) { c.Bake.DeprecateAfter = d })},
		{key: "bake.initialization_rate", kind: "MIB", usage: "have EBS load release volumes at this many MiB/s, 100-300, for a price (default as they are read)", set: func(c *Config, v []string) error {
			n, err := strconv.Atoi(v[0])
			if err != nil || n < 100 || n > 300 {
				return errors.New("want a whole number of MiB/s from 100 to 300")
			}
			c.Bake.InitializeRate = n
			return nil
		}},
		{key: "bake.timeout", kind: "DURATION", usage: "how long baking may take (default 30m for a volume, 1h for an AMI)",
			set: duration(time.Minute, 24*time.Hour, func(c *Config, d time.Duration) { c.Bake.Timeout = d })},
	}
}
