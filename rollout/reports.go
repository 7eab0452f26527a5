package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

// reports reads what nodes wrote about their boots.
type reports struct {
	store artifact.Store
	group string

	mu   sync.Mutex
	seen map[string]seenReport // by name
}

type seenReport struct {
	etag   string
	report node.Report
}

// reportsAtOnce bounds the reports that are read side by side.
const reportsAtOnce = 16

// of reads the boot reports of every run that nodes of the group were pinned
// to, and of the run itself, whose bad nodes are soon gone.
func (p *reports) of(ctx context.Context, s State) (map[string]node.Report, error) {
	runs := []string{s.Record.Run, s.runOfTarget()}
	for _, n := range s.Group.Nodes {
		if pin, ok := s.pin(n.Template); ok {
			runs = append(runs, pin.Run)
		}
	}
	slices.Sort(runs)
	newest := map[string]node.Report{}
	for _, run := range slices.Compact(runs) {
		if run == "" {
			continue
		}
		found, err := p.ofRun(ctx, run)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			r.Run = run // a report counts where it stands
			if old, ok := newest[r.Instance]; !ok || old.Finished.Before(r.Finished) {
				newest[r.Instance] = r
			}
		}
	}
	return newest, nil
}

func (p *reports) ofRun(ctx context.Context, run string) ([]node.Report, error) {
	stats, err := p.store.List(ctx, artifact.RolloutPrefix(p.group)+run+"/nodes/")
	if err != nil {
		return nil, err
	}
	stats = slices.DeleteFunc(stats, func(st artifact.Stat) bool { return !node.IsInstance(instanceOf(st.Name)) })
	found := make([]node.Report, len(stats))
	side, ctx := errgroup.WithContext(ctx)
	side.SetLimit(reportsAtOnce)
	for i, st := range stats {
		side.Go(func() (err error) {
			found[i], err = p.read(ctx, st)
			return err
		})
	}
	return found, side.Wait()
}

// instanceOf is whose report has a name. What is no instance's is nobody's: it
// says nothing of a node.
func instanceOf(name string) string {
	return strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".json")
}

func (p *reports) read(ctx context.Context, st artifact.Stat) (node.Report, error) {
	p.mu.Lock()
	seen, ok := p.seen[st.Name]
	p.mu.Unlock()
	if ok && seen.etag == st.ETag {
		return seen.report, nil
	}
	obj, err := p.store.Get(ctx, st.Name, 0, -1)
	if err != nil {
		return node.Report{}, err
	}
	defer obj.Close()
	b, err := io.ReadAll(io.LimitReader(obj, documentLimit))
	if err != nil {
		return node.Report{}, fmt.Errorf("reading %q: %w", st.Name, err)
	}
	var r node.Report
	if err := json.Unmarshal(b, &r); err != nil || !strings.HasSuffix(st.Name, "/"+r.Instance+".json") {
		// A node that writes nonsense has proven nothing; it must not stop
		// the run that is about to roll it back.
		r = node.Report{Instance: instanceOf(st.Name), Verdict: node.Bad, Stage: "report", Cause: "its boot report cannot be read"}
	}
	p.mu.Lock()
	p.seen[st.Name] = seenReport{etag: st.ETag, report: r}
	p.mu.Unlock()
	return r, nil
}
