package ec2

import (
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// What becomes of an instance that ends by itself is for its shutdown behaviour
// to say when it shut down in order; one that crashed is gone.
func TestInstanceThatEndsByItself(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour types.ShutdownBehavior
		off       bool
		want      types.InstanceStateName
	}{
		"as EC2 does it":       {off: true, want: types.InstanceStateNameStopped},
		"told to stop":         {behaviour: types.ShutdownBehaviorStop, off: true, want: types.InstanceStateNameStopped},
		"told to terminate":    {behaviour: types.ShutdownBehaviorTerminate, off: true, want: types.InstanceStateNameTerminated},
		"it crashed":           {want: types.InstanceStateNameTerminated},
		"it crashed, terminal": {behaviour: types.ShutdownBehaviorTerminate, want: types.InstanceStateNameTerminated},
	} {
		cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
			one, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.InstanceInitiatedShutdownBehavior = c.behaviour })
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p := f.of(*one.InstanceId)
			p.off = c.off
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if state, _, _ := s.State(*one.InstanceId); state != string(c.want) {
				t.Errorf("%s: it is %s, want %s", name, state, c.want)
			}
			if c.want != types.InstanceStateNameStopped {
				return
			}
			if _, err := client.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: []string{*one.InstanceId}}); err != nil {
				t.Errorf("%s: starting it again: %v", name, err)
			}
			synctest.Wait()
			if state, _, _ := s.State(*one.InstanceId); state != string(types.InstanceStateNameRunning) {
				t.Errorf("%s: started again it is %s", name, state)
			}
		})
	}
}
