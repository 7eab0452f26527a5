// Package autoscaling behaves as Amazon EC2 Auto Scaling does: groups, their
// nodes' lifecycle, hooks, health, activities and instance refresh.
//
// It knows when a node is launched, enters service, is drained, is replaced
// or is taken back, and what the service says about it. It refuses to know
// how an instance runs, how a target is probed or how an alarm is computed:
// those are asked through Instances, Targets and Alarms. It knows no wire
// format either; its handlers take and return the AWS SDK's own types.
//
// Every group is a state machine that reconcile moves forward: it looks at the
// clock and at the neighbours and never sleeps. Within it, transition moves one
// node and replacement the active refresh. Run reconciles each group every
// second of the local cloud's time and after every call.
package autoscaling
