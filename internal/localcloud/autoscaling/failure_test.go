package autoscaling

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

// A node whose boot always ends in ABANDON is replaced again and again; only
// the hour without progress ends that.
func TestAbandonedForever(t *testing.T) {
	for _, auto := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.group(1)
			w.hook(launching, 300)
			stop := w.answering(func(i types.Instance) string {
				if *i.LaunchTemplate.Version == "2" {
					return resultAbandon
				}
				return resultContinue
			})
			defer stop()
			p := healthyRange(100, 200)
			p.AutoRollback = aws.Bool(auto)
			began := time.Now()
			w.start(p, to("2"))
			least, _ := w.span(2 * time.Hour)
			if took := time.Since(began); took < time.Hour || took > 70*time.Minute {
				t.Errorf("took %s, want about an hour", took)
			}
			want := types.InstanceRefreshStatusFailed
			if auto {
				want = types.InstanceRefreshStatusRollbackSuccessful
			}
			if r := w.refresh(); r.Status != want || auto != (r.RollbackDetails != nil) {
				t.Errorf("refresh ended as %s, rollback %v", r.Status, r.RollbackDetails)
			}
			w.pass(10 * time.Minute)
			if least != 1 || w.versions()["1"] != 1 || w.saved() != "1" || len(w.describe().Instances) != 1 {
				t.Errorf("at least %d in service; the old node should be the only one:\n%s", least, w.picture())
			}
			cancelled := 0
			for _, a := range w.activities() {
				if a.StatusCode == types.ScalingActivityStatusCodeCancelled && strings.Contains(aws.ToString(a.StatusMessage), "was abandoned: Lifecycle Action Completed with ABANDON Result") {
					cancelled++
				}
			}
			if cancelled < 10 {
				t.Errorf("%d cancelled launches in an hour", cancelled)
			}
		})
	}
}

// Nodes that boot and then fail their load balancer's check are replaced
// until the hour is over.
func TestSickForever(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(4)
		w.fault(func() { w.sick = func(v int64) bool { return v == 2 } })
		p := healthyRange(75, 100)
		p.AutoRollback = aws.Bool(true)
		w.start(p, to("2"))
		w.reaches(types.InstanceRefreshStatusRollbackInProgress, 2*time.Hour)
		if took := time.Since(*w.refresh().StartTime); took < time.Hour {
			t.Errorf("gave up after %s", took)
		}
		w.reaches(types.InstanceRefreshStatusRollbackSuccessful, time.Hour)
		if got := w.versions(); got["1"] != 4 || len(got) != 1 || w.saved() != "1" {
			t.Errorf("versions %v, saved %s", got, w.saved())
		}
	})
}

func TestNoCapacity(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2)
		w.fault(func() {
			w.refuse = func(spec ec2.LaunchSpec) error {
				if spec.Version != 2 {
					return nil
				}
				return wire.Errorf("InsufficientInstanceCapacity", "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested (%s).", spec.Zone)
			}
		})
		p := healthyRange(100, 200)
		p.AutoRollback = aws.Bool(true)
		w.start(p, to("2"))
		least, _ := w.span(2 * time.Hour)
		if r := w.refresh(); r.Status != types.InstanceRefreshStatusRollbackSuccessful || least != 2 {
			t.Errorf("%s, at least %d nodes in service", r.Status, least)
		}
		failed := 0
		for _, a := range w.activities() {
			if a.StatusCode == types.ScalingActivityStatusCodeFailed {
				failed++
				if !strings.HasPrefix(*a.StatusMessage, "We currently do not have sufficient t3.micro capacity") {
					t.Errorf("message %q", *a.StatusMessage)
				}
			}
		}
		if failed < 5 || failed > 100 {
			t.Errorf("%d failed launches in an hour", failed)
		}
	})
}

func TestAlarmDuringRefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(4)
		w.setAlarm("errors", "OK")
		p := healthyRange(75, 100)
		p.AutoRollback = aws.Bool(true)
		p.AlarmSpecification = &types.AlarmSpecification{Alarms: []string{"errors"}}
		w.start(p, to("2"))
		w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
		w.setAlarm("errors", "ALARM") // and it goes on ringing
		w.reaches(types.InstanceRefreshStatusRollbackInProgress, 5*time.Second)
		w.reaches(types.InstanceRefreshStatusRollbackSuccessful, time.Hour)
		if got := w.versions(); got["1"] != 4 || w.saved() != "1" {
			t.Errorf("versions %v, saved %s", got, w.saved())
		}
	})
}

// A rollback needs the saved version; without it nothing can be launched and
// the hour runs out a second time.
func TestRollbackWithoutItsTemplateFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2)
		w.start(healthyRange(50, 100), to("2"))
		w.until(time.Hour, "one moved", func() bool { return *w.refresh().PercentageComplete >= 50 })
		w.fault(func() { w.deleted = 1 })
		must(w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)}))
		w.reaches(types.InstanceRefreshStatusRollbackFailed, 2*time.Hour)
		if w.saved() != "1" {
			t.Errorf("saved version %s", w.saved())
		}
	})
}
