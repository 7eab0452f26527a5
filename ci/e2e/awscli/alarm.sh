#!/usr/bin/env bash
# An alarm of CloudWatch, set by hand, and who asks.
. "$(dirname "$0")/lib.sh"

alarm() { aws cloudwatch describe-alarms --alarm-names cli-errors --query 'MetricAlarms[0].StateValue'; }

aws cloudwatch put-metric-alarm --alarm-name cli-errors --namespace AWS/ApplicationELB \
	--metric-name HTTPCode_Target_5XX_Count --statistic Sum --period 60 --evaluation-periods 1 \
	--threshold 5 --comparison-operator GreaterThanThreshold
want INSUFFICIENT_DATA "$(alarm)" "state of a new alarm"
aws cloudwatch set-alarm-state --alarm-name cli-errors --state-value ALARM --state-reason 'a test'
want ALARM "$(alarm)" "state that was set"
aws cloudwatch set-alarm-state --alarm-name cli-errors --state-value OK --state-reason 'a test'
want OK "$(alarm)" "state that was set"
aws cloudwatch delete-alarms --alarm-names cli-errors

want "123456789012" "$(aws sts get-caller-identity --query Account)" "account"
say "alarms: made, rung, silenced, deleted"
