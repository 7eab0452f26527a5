// Package cloudwatch is the alarms of CloudWatch on this machine. An alarm is
// what it is set to be: there are no metrics behind it.
package cloudwatch

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const pageSize = 100 // the most alarms in one answer

// Options configure a Service. Region and Account must be set.
type Options struct {
	Region, Account string
	Changed         func() // called after each change; may be nil
}

// Service is CloudWatch.
type Service struct {
	options Options

	mu     sync.Mutex
	alarms []*types.MetricAlarm // by name
}

// New makes a service without alarms.
func New(o Options) *Service {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Service{options: o}
}

// Actions are the operations served.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"PutMetricAlarm": wire.Handle(s.putMetricAlarm),
		"DescribeAlarms": wire.Handle(s.describeAlarms),
		"SetAlarmState":  wire.Handle(s.setAlarmState),
		"DeleteAlarms":   wire.Handle(s.deleteAlarms),
	}
}

// Snapshot is the state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.alarms)
}

// Restore takes a snapshot back.
func (s *Service) Restore(snapshot []byte) error {
	var restored []*types.MetricAlarm
	if err := json.Unmarshal(snapshot, &restored); err != nil {
		return fmt.Errorf("reading state of cloudwatch: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms = restored
	return nil
}

// AlarmState is OK, ALARM or INSUFFICIENT_DATA.
func (s *Service) AlarmState(name string) (state string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, exists := s.search(name)
	if !exists {
		return "", false
	}
	return string(s.alarms[at].StateValue), true
}

// Ring sets an alarm's state, as a fault.
func (s *Service) Ring(name string, ringing bool) error {
	state := types.StateValueOk
	if ringing {
		state = types.StateValueAlarm
	}
	_, err := s.setAlarmState(context.Background(), &cloudwatch.SetAlarmStateInput{
		AlarmName: &name, StateValue: state, StateReason: aws.String("set by a fault"),
	})
	return err
}

func (s *Service) search(name string) (int, bool) {
	return slices.BinarySearchFunc(s.alarms, name, func(a *types.MetricAlarm, name string) int { return cmp.Compare(*a.AlarmName, name) })
}

// putMetricAlarm keeps the state of an alarm that it replaces.
func (s *Service) putMetricAlarm(_ context.Context, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	switch {
	case aws.ToString(in.AlarmName) == "":
		return nil, wire.Errorf("ValidationError", "1 validation error detected: Value at 'alarmName' failed to satisfy constraint: Member must not be null")
	case in.EvaluationPeriods == nil || in.ComparisonOperator == "":
		return nil, wire.Errorf("ValidationError", "EvaluationPeriods and ComparisonOperator are required.")
	case in.MetricName == nil && len(in.Metrics) == 0:
		return nil, wire.Errorf("ValidationError", "Either MetricName or Metrics must be given.")
	}
	now := time.Now().UTC()
	s.mu.Lock()
	at, exists := s.search(*in.AlarmName)
	if !exists {
		s.alarms = slices.Insert(s.alarms, at, &types.MetricAlarm{
			AlarmName: in.AlarmName, StateValue: types.StateValueInsufficientData,
			StateReason: aws.String("Unchecked: Initial alarm creation"), StateUpdatedTimestamp: &now, StateTransitionedTimestamp: &now,
			AlarmArn: aws.String("arn:aws:cloudwatch:" + s.options.Region + ":" + s.options.Account + ":alarm:" + *in.AlarmName),
		})
	}
	configure(s.alarms[at], in, now)
	s.mu.Unlock()
	s.options.Changed()
	return &cloudwatch.PutMetricAlarmOutput{}, nil
}

func configure(a *types.MetricAlarm, in *cloudwatch.PutMetricAlarmInput, now time.Time) {
	a.AlarmConfigurationUpdatedTimestamp = &now
	a.ActionsEnabled = aws.Bool(in.ActionsEnabled == nil || *in.ActionsEnabled)
	a.AlarmActions, a.OKActions, a.InsufficientDataActions = in.AlarmActions, in.OKActions, in.InsufficientDataActions
	a.AlarmDescription, a.ComparisonOperator, a.DatapointsToAlarm = in.AlarmDescription, in.ComparisonOperator, in.DatapointsToAlarm
	a.Dimensions, a.EvaluationPeriods, a.ExtendedStatistic = in.Dimensions, in.EvaluationPeriods, in.ExtendedStatistic
	a.MetricName, a.Metrics, a.Namespace, a.Period = in.MetricName, in.Metrics, in.Namespace, in.Period
	a.Statistic, a.Threshold, a.ThresholdMetricId = in.Statistic, in.Threshold, in.ThresholdMetricId
	a.TreatMissingData, a.Unit = in.TreatMissingData, in.Unit
}

func (s *Service) describeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil {
		return nil, wire.Errorf("ValidationError", "AlarmNames and AlarmNamePrefix can not be specified together.")
	}
	size := pageSize
	if in.MaxRecords != nil {
		if size = int(*in.MaxRecords); size < 1 || size > pageSize {
			return nil, wire.Errorf("ValidationError", "MaxRecords must be between 1 and %d.", pageSize)
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(aws.ToString(in.NextToken))
	if err != nil {
		return nil, wire.Errorf("InvalidNextToken", "The next token specified is invalid.")
	}
	out := &cloudwatch.DescribeAlarmsOutput{}
	if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, types.AlarmTypeMetricAlarm) {
		return out, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alarms {
		if *a.AlarmName <= string(after) || !asked(a, in) {
			continue
		}
		if len(out.MetricAlarms) == size {
			out.NextToken = aws.String(base64.RawURLEncoding.EncodeToString([]byte(*out.MetricAlarms[size-1].AlarmName)))
			break
		}
		out.MetricAlarms = append(out.MetricAlarms, *a)
	}
	return out, nil
}

func asked(a *types.MetricAlarm, in *cloudwatch.DescribeAlarmsInput) bool {
	return (len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, *a.AlarmName)) &&
		strings.HasPrefix(*a.AlarmName, aws.ToString(in.AlarmNamePrefix)) &&
		(in.StateValue == "" || in.StateValue == a.StateValue)
}

func (s *Service) setAlarmState(_ context.Context, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	if !slices.Contains(in.StateValue.Values(), in.StateValue) {
		return nil, wire.Errorf("ValidationError", "1 validation error detected: Value '%s' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]", in.StateValue)
	}
	now := time.Now().UTC()
	s.mu.Lock()
	at, exists := s.search(aws.ToString(in.AlarmName))
	if exists {
		changed := *s.alarms[at] // readers may still hold the old one
		if changed.StateValue != in.StateValue {
			changed.StateTransitionedTimestamp = &now
		}
		changed.StateValue, changed.StateReason, changed.StateReasonData = in.StateValue, in.StateReason, in.StateReasonData
		changed.StateUpdatedTimestamp = &now
		s.alarms[at] = &changed
	}
	s.mu.Unlock()
	if !exists {
		return nil, &wire.Error{Code: "ResourceNotFound", Message: "Unknown alarm " + aws.ToString(in.AlarmName), Status: 404}
	}
	s.options.Changed()
	return &cloudwatch.SetAlarmStateOutput{}, nil
}

func (s *Service) deleteAlarms(_ context.Context, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range in.AlarmNames {
		if _, exists := s.search(name); !exists && len(in.AlarmNames) > 1 {
			return nil, &wire.Error{Code: "ResourceNotFound", Message: "Unknown alarm " + name, Status: 404}
		}
	}
	s.alarms = slices.DeleteFunc(s.alarms, func(a *types.MetricAlarm) bool { return slices.Contains(in.AlarmNames, *a.AlarmName) })
	s.options.Changed()
	return &cloudwatch.DeleteAlarmsOutput{}, nil
}
