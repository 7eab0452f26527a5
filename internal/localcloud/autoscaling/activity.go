package autoscaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// reason is why a node comes or goes; activities tell it in AWS's words.
type reason string

const (
	byCapacity reason = "capacity" // a difference between desired and actual capacity
	byRefresh  reason = "refresh"
	byHealth   reason = "health"
	byRequest  reason = "request" // of a user
	byAbandon  reason = "abandon" // of a launch
)

// history is how long activities and refreshes are remembered.
const history = 6 * 7 * 24 * time.Hour

// stamp is a time as AWS writes it into a cause.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

func (c *reconcile) launchCause(why reason) string {
	at, g := stamp(c.now), c.group
	switch why {
	case byRefresh:
		return fmt.Sprintf("At %s an instance was launched in response to an instance refresh.", at)
	case byHealth:
		return fmt.Sprintf("At %s an instance was launched in response to an unhealthy instance needing to be replaced.", at)
	}
	return fmt.Sprintf("%sAt %s an instance was started in response to a difference between desired and actual capacity, increasing the capacity to %d.",
		g.Request, at, g.desired())
}

func terminationCause(n *node, why reason, now time.Time) string {
	at := stamp(now)
	taken := "At " + at + " an instance was taken out of service in response to "
	chosen := fmt.Sprintf("  At %s instance %s was selected for termination.", at, n.ID)
	switch why {
	case byRefresh:
		return taken + "an instance refresh." + chosen
	case byHealth:
		return taken + n.Verdict + "."
	case byRequest:
		return taken + "a user request."
	case byAbandon:
		return taken + "a lifecycle action that was abandoned." + chosen
	}
	return taken + "a difference between desired and actual capacity." + chosen
}

// begin starts an activity for a node.
func (g *group) begin(n *node, description, cause string, now time.Time) *types.Activity {
	details, _ := json.Marshal(map[string]string{"Subnet ID": n.Place.Subnet, "Availability Zone": n.Place.Zone})
	a := &types.Activity{
		ActivityId:           aws.String(uuid()),
		AutoScalingGroupARN:  g.Settings.AutoScalingGroupARN,
		AutoScalingGroupName: g.Settings.AutoScalingGroupName,
		Cause:                aws.String(cause),
		Description:          aws.String(description),
		Details:              aws.String(string(details)),
		Progress:             aws.Int32(0),
		StartTime:            aws.Time(now),
		StatusCode:           types.ScalingActivityStatusCodeInProgress,
	}
	g.Activities = append(g.Activities, a)
	if oldest := g.Activities[0]; now.Sub(*oldest.StartTime) > history {
		g.Activities = g.Activities[1:]
	}
	return a
}

// activityLog is a group's activities in order of their start.
type activityLog []*types.Activity

// find returns an activity by id, or nil; those asked for are mostly recent.
func (l activityLog) find(id string) *types.Activity {
	for _, a := range slices.Backward(l) {
		if *a.ActivityId == id {
			return a
		}
	}
	return nil
}

// progress moves an activity on, if it still runs.
func (l activityLog) progress(id string, code types.ScalingActivityStatusCode, percent int32) {
	if a := l.find(id); a != nil && a.EndTime == nil {
		a.StatusCode, a.Progress = code, aws.Int32(percent)
	}
}

// end closes an activity, if it still runs.
func (l activityLog) end(id string, code types.ScalingActivityStatusCode, text string, now time.Time) {
	a := l.find(id)
	if a == nil || a.EndTime != nil {
		return
	}
	a.StatusCode, a.Progress, a.EndTime = code, aws.Int32(100), aws.Time(now)
	if text != "" {
		a.StatusMessage = aws.String(text)
	}
}

// message is what an error tells a user of the service.
func message(err error) string {
	if aerr := (*wire.Error)(nil); errors.As(err, &aerr) {
		return aerr.Message
	}
	return err.Error()
}

func (s *Service) describeScalingActivities(_ context.Context, in *autoscaling.DescribeScalingActivitiesInput) (*autoscaling.DescribeScalingActivitiesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.activities(in)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b *types.Activity) int {
		if ended := (a.EndTime != nil); ended != (b.EndTime != nil) {
			if ended {
				return 1
			}
			return -1
		}
		return b.StartTime.Compare(*a.StartTime)
	})
	part, next, err := page(found, in.NextToken, in.MaxRecords, pageSize{Default: 100, Max: 100})
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeScalingActivitiesOutput{Activities: []types.Activity{}, NextToken: next}
	for _, a := range part {
		out.Activities = append(out.Activities, *a)
	}
	return out, nil
}

// activities collects what was asked for, the latest start of a group first.
func (s *Service) activities(in *autoscaling.DescribeScalingActivitiesInput) ([]*types.Activity, error) {
	var all []*types.Activity
	name := aws.ToString(in.AutoScalingGroupName)
	if aws.ToBool(in.IncludeDeletedGroups) {
		all = append(all, s.buried...)
	}
	if name != "" && !aws.ToBool(in.IncludeDeletedGroups) {
		if _, err := s.group(in.AutoScalingGroupName); err != nil {
			return nil, err
		}
	}
	for _, g := range s.groups {
		all = append(all, g.Activities...)
	}
	keep, err := activityFilter(in)
	if err != nil {
		return nil, err
	}
	var found []*types.Activity
	for _, a := range slices.Backward(all) {
		if keep(a) {
			found = append(found, a)
		}
	}
	return found, nil
}

func activityFilter(in *autoscaling.DescribeScalingActivitiesInput) (func(*types.Activity) bool, error) {
	name := aws.ToString(in.AutoScalingGroupName)
	var from, to time.Time
	var codes []string
	for _, f := range in.Filters {
		var err error
		switch aws.ToString(f.Name) {
		case "StartTimeLowerBound":
			from, err = bound(f)
		case "StartTimeUpperBound":
			to, err = bound(f)
		case "Status":
			codes = f.Values
			if name == "" {
				err = invalid("The Status filter requires an Auto Scaling group name.")
			}
		default:
			err = invalid("Filter type %s is not correct.", aws.ToString(f.Name))
		}
		if err != nil {
			return nil, err
		}
	}
	return func(a *types.Activity) bool {
		return (name == "" || *a.AutoScalingGroupName == name) &&
			(len(in.ActivityIds) == 0 || slices.Contains(in.ActivityIds, *a.ActivityId)) &&
			(from.IsZero() || !a.StartTime.Before(from)) &&
			(to.IsZero() || !a.StartTime.After(to)) &&
			(len(codes) == 0 || slices.Contains(codes, string(a.StatusCode)))
	}, nil
}

func bound(f types.Filter) (time.Time, error) {
	if len(f.Values) != 1 {
		return time.Time{}, invalid("The filter %s takes one value.", *f.Name)
	}
	at, err := time.Parse(time.RFC3339, f.Values[0])
	if err != nil {
		return time.Time{}, invalid("The value %s of filter %s is not a time.", f.Values[0], *f.Name)
	}
	return at, nil
}
