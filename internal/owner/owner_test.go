package owner

import (
	"testing"
	"time"
)

func TestHolderTag(t *testing.T) {
	h := Holder{Name: "Ada Byron@foreman", Host: "foreman 2f1c pid:[4026531836]", PID: 4711, Started: "1234567"}
	got := ParseHolder(h.Tag())
	if got.Name != h.Name || got.PID != h.PID || got.Started != h.Started || got.Host != HostTag(h.Host) {
		t.Errorf("%q is %+v again", h.Tag(), got)
	}
	for _, tag := range []string{"", "somebody", "somebody a/b", "somebody a/b/c"} {
		if got := ParseHolder(tag); got.PID != 0 || got.Host != "" {
			t.Errorf("%q names a process: %+v", tag, got)
		}
	}
}

func TestTags(t *testing.T) {
	at := time.Date(2026, 11, 26, 5, 0, 0, 0, time.FixedZone("", 3600))
	m := Tags{Version: "v42", Manifest: "sha256:1", Store: "s3://releases/shop", Run: "r1", Holder: Holder{Name: "ci@host"}, Expires: at}
	tags := m.Map()
	if tags[TagExpires] != "2026-11-26T04:00:00Z" || tags[TagHolder] != "ci@host" || len(tags) != 6 {
		t.Errorf("tags are %v", tags)
	}
}
