package autoscaling

import (
	"cmp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	defaultMinHealthy      = 90
	defaultMaxHealthy      = 100
	defaultCheckpointDelay = 3600
	maxDelay               = 172800
	maxAlarms              = 10
)

// effectivePreferences are what a refresh goes by: what was asked for, then
// the group's own settings, then the API's defaults (which differ from the
// console's).
func (g *group) effectivePreferences(in *types.RefreshPreferences) (types.RefreshPreferences, error) {
	var p types.RefreshPreferences
	if in != nil {
		p = *in
	}
	if err := checkPreferences(p); err != nil {
		return p, err
	}
	p.MinHealthyPercentage, p.MaxHealthyPercentage = g.healthyPercentages(p.MinHealthyPercentage, p.MaxHealthyPercentage)
	p.InstanceWarmup = cmp.Or(p.InstanceWarmup, g.Settings.DefaultInstanceWarmup, g.Settings.HealthCheckGracePeriod, aws.Int32(0))
	p.SkipMatching = cmp.Or(p.SkipMatching, aws.Bool(false))
	p.AutoRollback = cmp.Or(p.AutoRollback, aws.Bool(false))
	p.ScaleInProtectedInstances = cmp.Or(p.ScaleInProtectedInstances, types.ScaleInProtectedInstancesWait)
	p.StandbyInstances = cmp.Or(p.StandbyInstances, types.StandbyInstancesWait)
	if len(p.CheckpointPercentages) > 0 {
		p.CheckpointDelay = cmp.Or(p.CheckpointDelay, aws.Int32(defaultCheckpointDelay))
	}
	if p.AlarmSpecification == nil {
		p.AlarmSpecification = &types.AlarmSpecification{}
	}
	return p, nil
}

// healthyPercentages fills in what was not given. A minimum given alone gets
// the default maximum, not the policy's.
func (g *group) healthyPercentages(least, most *int32) (*int32, *int32) {
	if policy := g.Settings.InstanceMaintenancePolicy; least == nil && policy != nil {
		least, most = policy.MinHealthyPercentage, policy.MaxHealthyPercentage
	}
	return cmp.Or(least, aws.Int32(defaultMinHealthy)), cmp.Or(most, aws.Int32(defaultMaxHealthy))
}

func checkPreferences(p types.RefreshPreferences) error {
	if err := checkPercentages(p.MinHealthyPercentage, p.MaxHealthyPercentage); err != nil {
		return err
	}
	if err := checkCheckpoints(p); err != nil {
		return err
	}
	switch {
	case aws.ToInt32(p.InstanceWarmup) < 0:
		return invalid("InstanceWarmup must be greater than or equal to 0.")
	case outside(p.BakeTime, 0, maxDelay):
		return invalid("BakeTime must be between 0 and %d seconds.", maxDelay)
	case p.AlarmSpecification != nil && len(p.AlarmSpecification.Alarms) > maxAlarms:
		return invalid("An alarm specification can have up to %d alarms.", maxAlarms)
	}
	switch p.ScaleInProtectedInstances {
	case "", types.ScaleInProtectedInstancesRefresh, types.ScaleInProtectedInstancesIgnore, types.ScaleInProtectedInstancesWait:
	default:
		return invalid("Invalid value %s for ScaleInProtectedInstances.", p.ScaleInProtectedInstances)
	}
	switch p.StandbyInstances {
	case "", types.StandbyInstancesTerminate, types.StandbyInstancesIgnore, types.StandbyInstancesWait:
	default:
		return invalid("Invalid value %s for StandbyInstances.", p.StandbyInstances)
	}
	return nil
}

func checkPercentages(least, most *int32) error {
	switch {
	case outside(least, 0, 100):
		return invalid("MinHealthyPercentage must be between 0 and 100.")
	case outside(most, 100, 200):
		return invalid("MaxHealthyPercentage must be between 100 and 200.")
	case most != nil && least == nil:
		return invalid("MinHealthyPercentage must be specified when MaxHealthyPercentage is specified.")
	case most != nil && *most-*least > 100:
		return invalid("The difference between MaxHealthyPercentage and MinHealthyPercentage cannot be greater than 100.")
	}
	return nil
}

func checkCheckpoints(p types.RefreshPreferences) error {
	if p.CheckpointDelay != nil && len(p.CheckpointPercentages) == 0 {
		return invalid("CheckpointDelay cannot be specified without CheckpointPercentages.")
	}
	if outside(p.CheckpointDelay, 0, maxDelay) {
		return invalid("CheckpointDelay must be between 0 and %d seconds.", maxDelay)
	}
	last := int32(0)
	for _, percent := range p.CheckpointPercentages {
		if percent < 1 || percent > 100 {
			return invalid("CheckpointPercentages must be between 1 and 100.")
		}
		if percent <= last {
			return invalid("CheckpointPercentages must be unique and in ascending order.")
		}
		last = percent
	}
	return nil
}

func outside(value *int32, least, most int32) bool {
	return value != nil && (*value < least || *value > most)
}
