package aws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wpbake/wpbake/internal/tier"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/bake/volume"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/owner"
)

// mortal is the cloud as one process sees it that is killed at its nth call:
// the call takes effect or does not, and nothing that the process does
// afterwards arrives.
type mortal struct {
	http.Handler
	nth   int // 0 kills at none
	after bool
	kill  func()

	mu    sync.Mutex
	calls int
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.calls++
	call := m.calls
	m.mu.Unlock()
	if m.nth == 0 || call < m.nth {
		m.Handler.ServeHTTP(w, r)
		return
	}
	if call == m.nth {
		if m.after {
			m.Handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		m.kill()
	}
	panic(http.ErrAbortHandler)
}

// A bake of a release volume and its copy to another region is killed at each
// of its calls, before it takes effect and after. A sweep removes what it left,
// and the same bake again succeeds. ci/images does it to real processes.
func TestBakeVolumeKilledAtEachCall(t *testing.T) {
	store, v, d := published(t)
	killed := 0
	moments := tier.Some(2, 1) // before each call and after it, or in turn
	for nth := 1; ; nth++ {
		ended := 0
		for i := range moments {
			after := (nth+i)%2 == 0
			onLocalCloud(t, 0, func(l local) {
				if l.killed(store, v, d, &mortal{Handler: l.cloud, nth: nth, after: after}) {
					killed++
				} else {
					ended++
				}
			})
		}
		if ended == moments {
			break
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("killed %d times", killed)
	if killed < 10*moments { // two looks, start, six blocks, complete, copy: most of them at each moment
		t.Errorf("it was killed %d times only", killed)
	}
}

// killed reports whether a bake made so many calls that it was killed.
func (l local) killed(store artifact.Store, v artifact.Version, d artifact.Digest, m *mortal) bool {
	l.t.Helper()
	ctx, kill := context.WithCancel(l.t.Context())
	defer kill()
	m.kill = kill
	subject := l
	subject.Clients = awstest.Clients(l.t, m)
	bake := func(ctx context.Context, l local) error {
		o := l.volume(store, v, d)
		o.Regions, o.Budget = []string{"eu-west-1"}, time.Hour
		_, err := volume.Bake(ctx, o)
		return err
	}
	err := bake(ctx, subject)
	hit := m.calls >= m.nth
	if !hit {
		l.must(err)
		return false
	}
	moment := fmt.Sprintf("killed at call %d, after it %t", m.nth, m.after)
	for _, region := range []string{"", "eu-west-1"} {
		if left := l.sweep(region); left > 0 {
			l.t.Errorf("%s: %d unfinished snapshots are left in %q", moment, left, region)
		}
	}
	if err := bake(l.t.Context(), l); err != nil {
		l.t.Errorf("%s: the same bake again: %v", moment, err)
	}
	return true
}

// sweep removes what dead runs left in a region, and counts the snapshots that
// are unfinished all the same.
func (l local) sweep(region string) (unfinished int) {
	l.t.Helper()
	cfg := awstest.Config(l.t, l.cloud)
	if region != "" {
		cfg.Region = region
	}
	clients := aws.New(cfg)
	s := inventory.Sweep{Account: clients.Inventory(), Kinds: []inventory.Kind{inventory.Snapshot},
		Judge: inventory.Judge{Now: time.Now(), Alive: func(owner.Holder) bool { return false }}}
	for _, one := range inventory.Left(s.Run(l.t.Context()).Found) {
		l.t.Errorf("sweeping %s: %v", one.ID, one.Err)
	}
	out, err := clients.EC2().DescribeSnapshots(l.t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	l.must(err)
	for _, one := range out.Snapshots {
		if one.State != "completed" {
			unfinished++
		}
	}
	return unfinished
}
