package rollout

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/node"
)

// What stands under a name that is no instance's is nobody's report.
func TestReportsAreOfInstances(t *testing.T) {
	store, err := dirstore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"i-0123456789abcdef0", "i-01234567", "i-new", "##[error]x", "i-0123456789ABCDEF0", "i-0123456789abcdef0.json"} {
		text := `{"instance":"` + id + `","verdict":"bad"}`
		body := artifact.Body{ReaderAt: strings.NewReader(text), Size: int64(len(text)), Digest: artifact.DigestOf([]byte(text))}
		if _, err := store.Put(t.Context(), node.ReportName("shop", "R1", id), body, artifact.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	p := &reports{store: store, group: "shop", seen: map[string]seenReport{}}
	found, err := p.ofRun(t.Context(), "R1")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range found {
		ids = append(ids, r.Instance)
	}
	if got := strings.Join(ids, " "); got != "i-01234567 i-0123456789abcdef0" {
		t.Errorf("reports of %q", got)
	}
}
