package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/internal/owner"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }

// A process that lives, one that is gone, and one of a machine that nobody
// here can look at, in the words of tags.
var (
	living  = owner.Holder{Name: "ci@a", Host: "here", PID: 1, Started: "1"}
	gone    = owner.Holder{Name: "ci@a", Host: "here", PID: 2, Started: "1"}
	unknown = owner.Holder{Name: "ci@b"}
)

func judge() Judge {
	return Judge{Now: now, Uploads: 24 * time.Hour, Alive: func(h owner.Holder) bool { return h.PID != gone.PID }}
}

func tags(run, holder, expires string) map[string]string {
	return map[string]string{owner.TagRun: run, owner.TagHolder: holder, owner.TagExpires: expires}
}

func TestDead(t *testing.T) {
	later, past := at(time.Hour), at(-3*time.Hour)
	for name, tt := range map[string]struct {
		r      Resource
		remove bool
		reason string
	}{
		"not ours":            {Resource{Kind: Instance, Tags: map[string]string{"Name": "web"}}, false, "has no tag wpbake:run"},
		"empty run":           {Resource{Kind: Instance, Tags: tags("", gone.Tag(), past)}, false, "has no tag wpbake:run"},
		"a node":              {Resource{Kind: Instance, Tags: map[string]string{owner.TagRun: "r", owner.TagExpires: past, groupTag: "shop"}}, false, `is a node of group "shop"`},
		"expired":             {Resource{Kind: Instance, Tags: tags("r", unknown.Tag(), past)}, true, "run r ended at the latest 3h ago"},
		"expired, alive":      {Resource{Kind: Volume, Tags: tags("r", living.Tag(), past)}, true, "ended at the latest"},
		"this very moment":    {Resource{Kind: Volume, Tags: tags("r", unknown.Tag(), at(0))}, false, "may go on until"},
		"process gone":        {Resource{Kind: KeyPair, Tags: tags("r", gone.Tag(), later)}, true, "process 2 of this machine is gone"},
		"process gone, never": {Resource{Kind: KeyPair, Tags: tags("r", gone.Tag(), "")}, true, "process 2 of this machine is gone"},
		"alive":               {Resource{Kind: SecurityGroup, Tags: tags("r", living.Tag(), later)}, false, "run r may go on until " + later},
		"another machine":     {Resource{Kind: SecurityGroup, Tags: tags("r", unknown.Tag(), later)}, false, "may go on until"},
		"no end":              {Resource{Kind: SecurityGroup, Tags: tags("manual", "", "")}, false, `run manual does not say when it ends: tag wpbake:expires is ""`},
		"garbled end":         {Resource{Kind: SecurityGroup, Tags: tags("r", "", "tomorrow")}, false, `tag wpbake:expires is "tomorrow"`},
		"pending snapshot":    {Resource{Kind: Snapshot, State: "pending", Tags: tags("r", "", past)}, true, ""},
		"failed snapshot":     {Resource{Kind: Snapshot, State: "error", Tags: tags("r", "", past)}, true, ""},
		"finished snapshot":   {Resource{Kind: Snapshot, State: "completed", Tags: tags("r", gone.Tag(), past)}, false, "is finished"},
		"finished image":      {Resource{Kind: Image, State: "available", Tags: tags("r", gone.Tag(), past)}, false, "is finished"},
		"failed image":        {Resource{Kind: Image, State: "failed", Tags: tags("r", gone.Tag(), later)}, true, ""},
		"old upload":          {Resource{Kind: Upload, Created: now.Add(-72 * time.Hour)}, true, "began 3d ago and was never finished"},
		"young upload":        {Resource{Kind: Upload, Created: now.Add(-23 * time.Hour)}, false, "began 23h ago; one may take 24h"},
		"upload of that age":  {Resource{Kind: Upload, Created: now.Add(-24 * time.Hour)}, false, ""},
	} {
		v := judge().Dead(tt.r)
		if v.Remove != tt.remove || !strings.Contains(v.Reason, tt.reason) || v.Reason == "" {
			t.Errorf("%s: removed %v because it %q, want %v, %q", name, v.Remove, v.Reason, tt.remove, tt.reason)
		}
	}
}
