package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// setting is one value that the file, the environment and a flag can give.
// Its key names it everywhere: refresh.bake_time is WPBAKE_REFRESH_BAKE_TIME
// and --refresh-bake-time.
type setting struct {
	key   string
	kind  string // of value, for help
	usage string
	list  bool
	set   func(*Config, []string) error
}

func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

func (s setting) env() string {
	return "WPBAKE_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// apply parses the text that a flag or the environment gives.
func (s setting) apply(cfg *Config, source, text string) error {
	values := []string{text}
	if s.list {
		values = strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	}
	if err := s.set(cfg, values); err != nil {
		return Misuse(fmt.Errorf("%s %q: %w", source, text, err), s.usage)
	}
	return nil
}

// Limits of StartInstanceRefresh.
const (
	maxDelay  = 48 * time.Hour
	maxAlarms = 10
)

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// settings lists them all.
func settings() []setting {
	return slices.Concat([]setting{
		{key: "tree", kind: "TREE", usage: "the WordPress tree to ship: a directory, an archive or git:PATH@REV", set: text(func(c *Config) *string { return &c.Tree })},
		{key: "store", kind: "URL", usage: "where artifacts rest: s3://BUCKET/PREFIX, dir:///PATH or, without rollouts, oci://HOST/REPO", set: text(func(c *Config) *string { return &c.Store })},
		{key: "group", kind: "NAME", usage: "the Auto Scaling group", set: func(c *Config, v []string) error {
			c.Group = v[0]
			return checkGroup(v[0])
		}},
		{key: "region", kind: "REGION", usage: "AWS region; without it, as the AWS CLI finds it", set: text(func(c *Config) *string { return &c.Region })},
		{key: "bucket_owner", kind: "ACCOUNT", usage: "refuse a bucket that another account owns (12 digits)", set: func(c *Config, v []string) error {
			if c.BucketOwner = v[0]; !accountID.MatchString(v[0]) {
				return errors.New("want an account id of 12 digits")
			}
			return nil
		}},
		{key: "base_image", kind: "IMAGE", usage: "in a registry, the image to put the artifact on top of, such as php:8.3-fpm (default none)",
			set: text(func(c *Config) *string { return &c.BaseImage })},
		{key: "exclude", kind: "PATTERNS", list: true, usage: "paths of the tree to leave out as well, such as wp-content/debug.log", set: func(c *Config, v []string) error {
			c.Exclude = v
			return nil
		}},
		{key: "cache", kind: "DIR", usage: "where builds are remembered, so that the next one is fast (default ~/.cache/wpbake); off remembers nothing",
			set: text(func(c *Config) *string { return &c.Cache })},
		{key: "carry_assets", kind: "VERSION", usage: "keep this version's assets (css, js, images, fonts) that the tree has no more, for one release, or those of current, which the group runs (default off)",
			set: setCarry},
		{key: "first_node.timeout", kind: "DURATION", usage: "how long the first new node may take to prove itself (default 15m)",
			set: duration(time.Second, 24*time.Hour, func(c *Config, d time.Duration) { c.FirstNode = d })},
		{key: "poll", kind: "DURATION", usage: "time between two looks at the group (default 10s)",
			set: duration(10*time.Millisecond, 10*time.Minute, func(c *Config, d time.Duration) { c.Poll = d })},
		{key: "lock.lease", kind: "DURATION", usage: "how long a dead run keeps the group locked (default 2m)",
			set: duration(time.Second, time.Hour, func(c *Config, d time.Duration) { c.Lease = d })},
	}, checkSettings(), bakeSettings(), packerSettings(), databaseSettings(), refreshSettings())
}

func checkSettings() []setting {
	return []setting{
		{key: "check.cron", kind: "WHO", usage: "who runs WordPress's cron, now that no node does, such as \"the scheduler\"",
			set: text(func(c *Config) *string { return &c.Check.Cron })},
		{key: "check.node", kind: "DIR", usage: "what nodes have in /etc: nginx, php, systemd, wpbake/node.yaml",
			set: text(func(c *Config) *string { return &c.Check.Node })},
		{key: "check.node_php", kind: "VERSION", usage: "the PHP of the nodes, such as 8.2", set: func(c *Config, v []string) error {
			if c.Check.NodePHP = v[0]; !phpVersion.MatchString(v[0]) {
				return errors.New("want a version such as 8.2")
			}
			return nil
		}},
		{key: "check.php", kind: "PROGRAM", usage: "the PHP that parses the tree's files (default: the one of check.node_php, else php, if it is there); off parses nothing",
			set: text(func(c *Config) *string { return &c.Check.PHP })},
		{key: "check.checksums", kind: "DIR", usage: "published checksums: core.json or core.md5sums, plugins/SLUG.json",
			set: text(func(c *Config) *string { return &c.Check.Checksums })},
		{key: "check.strict", kind: "BOOL", usage: "warnings block a release too: true or false", set: func(c *Config, v []string) error {
			var err error
			if c.Check.Strict, err = strconv.ParseBool(v[0]); err != nil {
				return errors.New("want true or false")
			}
			return nil
		}},
	}
}

var phpVersion = regexp.MustCompile(`^[5-9]\.[0-9]{1,2}(\.[0-9]{1,2})?$`)

func refreshSettings() []setting {
	return []setting{
		{key: "refresh.min_healthy", kind: "PERCENT", usage: "healthy part of the group at any time, 1-100 (default by group size)",
			set: percent(1, 100, func(c *Config, n int) { c.Refresh.MinHealthy = n })},
		{key: "refresh.max_healthy", kind: "PERCENT", usage: "most nodes at any time, 100-200 (default by group size)",
			set: percent(100, 200, func(c *Config, n int) { c.Refresh.MaxHealthy = n })},
		{key: "refresh.warmup", kind: "DURATION", usage: "time until a new node counts (default from the group)",
			set: seconds(func(c *Config, d time.Duration) { c.Refresh.Warmup = &d })},
		{key: "refresh.bake_time", kind: "DURATION", usage: "watching after the last node, with rollback by alarm (at most 48h)",
			set: seconds(func(c *Config, d time.Duration) { c.Refresh.BakeTime = &d })},
		{key: "refresh.checkpoints", kind: "PERCENTS", list: true, usage: "percentages to pause at, ascending, the last one 100", set: setCheckpoints},
		{key: "refresh.checkpoint_delay", kind: "DURATION", usage: "the pause at each checkpoint (at most 48h)",
			set: seconds(func(c *Config, d time.Duration) { c.Refresh.CheckpointDelay = d })},
		{key: "refresh.alarms", kind: "NAMES", list: true, usage: "CloudWatch alarms that roll the release back, at most 10", set: func(c *Config, v []string) error {
			if c.Refresh.Alarms = v; len(v) > maxAlarms {
				return fmt.Errorf("want at most %d alarms, got %d", maxAlarms, len(v))
			}
			return nil
		}},
		{key: "refresh.protected", kind: "WHAT", usage: "nodes protected from scale-in: Refresh, Ignore or Wait",
			set: oneOf(func(c *Config, s string) { c.Refresh.Protected = s }, "Refresh", "Ignore", "Wait")},
		{key: "refresh.standby", kind: "WHAT", usage: "nodes in standby: Terminate, Ignore or Wait",
			set: oneOf(func(c *Config, s string) { c.Refresh.Standby = s }, "Terminate", "Ignore", "Wait")},
	}
}

func databaseSettings() []setting {
	return []setting{
		{key: "database.command", kind: "COMMAND", list: true,
			usage: "how a command reaches a node that can ask the database: its words, with {node} for the instance id, before wpbake's own (default SSM Run Command); off asks nothing",
			set: func(c *Config, v []string) error {
				if c.DatabaseCommand = v; len(v) == 0 || v[0] == "" {
					return errors.New("want a program, or off")
				}
				return nil
			}},
		{key: "database.snapshot", kind: "COMMAND", list: true,
			usage: "what saves the database before its schema changes; its last line of output names what it made",
			set: func(c *Config, v []string) error {
				if c.DatabaseSnapshot = v; len(v) == 0 || v[0] == "" {
					return errors.New("want a program")
				}
				return nil
			}},
	}
}

// setCarry takes whose assets a release keeps.
func setCarry(c *Config, v []string) error {
	switch c.CarryAssets = v[0]; v[0] {
	case Off:
		c.CarryAssets = ""
	case Current:
	default:
		if _, err := artifact.ParseVersion(v[0]); err != nil {
			return errors.New("want a published version, current or off")
		}
	}
	return nil
}

// checkGroup refuses what Auto Scaling does, and names that would lead out of
// the group's own place in the store.
func checkGroup(name string) error {
	foreign := func(r rune) bool { return r < ' ' || r > '~' || r == ':' }
	if len(name) > 255 || strings.ContainsFunc(name, foreign) {
		return errors.New("want at most 255 printable ASCII characters without a colon")
	}
	for part := range strings.SplitSeq(name, "/") {
		if name != "" && (part == "" || part == "." || part == "..") {
			return errors.New("want no empty or dotted part between slashes")
		}
	}
	return nil
}

func text(field func(*Config) *string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		*field(c) = v[0]
		return nil
	}
}

func percent(least, most int, set func(*Config, int)) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		n, err := strconv.Atoi(v[0])
		if err != nil || n < least || n > most {
			return fmt.Errorf("want a whole percentage from %d to %d", least, most)
		}
		set(c, n)
		return nil
	}
}

func duration(least, most time.Duration, set func(*Config, time.Duration)) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		d, err := time.ParseDuration(v[0])
		if err != nil || d < least || d > most {
			return fmt.Errorf("want a duration such as 90s or 5m, from %s to %s", Brief(least), Brief(most))
		}
		set(c, d)
		return nil
	}
}

// seconds takes what AWS takes: whole seconds up to 48 hours.
func seconds(set func(*Config, time.Duration)) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		d, err := time.ParseDuration(v[0])
		if err != nil || d < 0 || d > maxDelay || d%time.Second != 0 {
			return fmt.Errorf("want a duration of whole seconds such as 90s or 5m, at most %s", Brief(maxDelay))
		}
		set(c, d)
		return nil
	}
}

func oneOf(set func(*Config, string), words ...string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		for _, w := range words {
			if strings.EqualFold(v[0], w) {
				set(c, w)
				return nil
			}
		}
		return fmt.Errorf("want one of %s", strings.Join(words, ", "))
	}
}

// setCheckpoints refuses lists that would leave nodes of the group behind.
func setCheckpoints(c *Config, v []string) error {
	want := errors.New("want ascending percentages from 1 to 100, the last one 100")
	c.Refresh.Checkpoints = nil
	last := 0
	for _, s := range v {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n <= last || n > 100 {
			return want
		}
		c.Refresh.Checkpoints = append(c.Refresh.Checkpoints, n)
		last = n
	}
	if last != 100 {
		return want
	}
	return nil
}
