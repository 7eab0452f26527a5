package autoscaling

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

// TestChaos lets things happen to a refresh at random and then checks what
// has to hold whatever happened.
func TestChaos(t *testing.T) {
	for seed := range uint64(60) {
		inWorld(t, func(w *world) {
			dice := rand.New(rand.NewPCG(seed, 0))
			w.group(int32(1 + dice.IntN(8)))
			w.setAlarm("errors", "OK")
			least := int32(dice.IntN(101))
			p := healthyRange(least, 100+int32(dice.IntN(int(least)+1)))
			p.AutoRollback, p.SkipMatching = aws.Bool(dice.IntN(2) == 0), aws.Bool(dice.IntN(2) == 0)
			p.BakeTime = aws.Int32(int32(dice.IntN(600)))
			p.AlarmSpecification = &types.AlarmSpecification{Alarms: []string{"errors"}}
			if dice.IntN(3) == 0 {
				p.CheckpointPercentages, p.CheckpointDelay = []int32{30, 100}, aws.Int32(600)
			}
			w.start(p, to("2"))
			for range 8 {
				w.pass(time.Duration(dice.IntN(240)) * time.Second)
				w.befall(dice)
			}
			w.fault(func() {
				w.refuse, w.sick = func(ec2.LaunchSpec) error { return nil }, func(int64) bool { return false }
			})
			must(w.service.resumeProcesses(w.Context(), &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(shop)}))
			w.until(8*time.Hour, "refresh ended", func() bool { return w.refresh().EndTime != nil })
			w.pass(20 * time.Minute)
			w.checkRest(seed)
		})
	}
}

// befall makes one thing happen.
func (w *world) befall(dice *rand.Rand) {
	name := aws.String(shop)
	switch dice.IntN(10) {
	case 0:
		w.desire(int32(dice.IntN(10)))
	case 1:
		if nodes := w.inService(); len(nodes) > 0 {
			w.kill(*nodes[dice.IntN(len(nodes))].InstanceId)
		}
	case 2:
		w.fault(func() { w.sick = func(v int64) bool { return v == 2 } })
	case 3:
		w.fault(func() { w.sick = func(int64) bool { return false } })
	case 4:
		w.fault(func() {
			w.refuse = func(ec2.LaunchSpec) error { return wire.Errorf("InsufficientInstanceCapacity", "none left") }
		})
	case 5:
		w.fault(func() { w.refuse = func(ec2.LaunchSpec) error { return nil } })
	case 6:
		w.setAlarm("errors", []string{"OK", "ALARM"}[dice.IntN(2)])
	case 7:
		_, _ = w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: name})
	case 8:
		_, _ = w.service.cancelInstanceRefresh(w.Context(), &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: name, WaitForTransitioningInstances: aws.Bool(dice.IntN(2) == 0)})
	case 9:
		process := []string{"Launch", "Terminate", "InstanceRefresh", "ReplaceUnhealthy"}[dice.IntN(4)]
		must(w.service.suspendProcesses(w.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: name, ScalingProcesses: []string{process}}))
	}
}

// checkRest checks a group that has come to rest.
func (w *world) checkRest(seed uint64) {
	g, r := w.describe(), w.refresh()
	versions := w.versions()
	fail := func(what string) { w.Errorf("seed %d: %s\n%s", seed, what, w.picture()) }
	if len(w.inService()) != int(*g.DesiredCapacity) || len(g.Instances) != int(*g.DesiredCapacity) {
		fail("the group is not at its desired capacity")
	}
	success := r.Status == types.InstanceRefreshStatusSuccessful
	if success != (w.saved() == "2") {
		fail("the saved version moves on success and only then: it is " + w.saved())
	}
	if success && versions["1"] > 0 || r.Status == types.InstanceRefreshStatusRollbackSuccessful && versions["2"] > 0 {
		fail("nodes of the wrong version remain")
	}
	if rolledBack := r.RollbackDetails != nil; rolledBack && (success || r.Status == types.InstanceRefreshStatusFailed) {
		fail("a rollback ended as a forward refresh")
	}
	alive := 0
	w.mu.Lock()
	for _, i := range w.instances {
		if !i.dead {
			alive++
		}
	}
	w.mu.Unlock()
	if alive != len(g.Instances) {
		fail("instances outside of the group are alive")
	}
	for _, a := range w.activities() {
		if a.EndTime == nil {
			fail("an activity never ended: " + *a.Description)
		}
	}
}
