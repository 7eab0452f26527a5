package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// HookName is the lifecycle hook that a node's boot completes.
const HookName = "wpbake-boot"

// Finding is one thing that was noticed about a group.
type Finding struct {
	ID     string `json:"id"` // such as template/floating
	Blocks bool   `json:"blocks"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"` // what to run
}

// findings are what stands in the way of a safe release, those that block
// first.
func (o Observation) findings() []Finding {
	fs := slices.Concat(
		templateFindings(o.Group), groupFindings(o.Group),
		o.imageFindings(), o.refreshFindings(), o.alarmFindings(), o.opcacheFindings(),
	)
	slices.SortStableFunc(fs, func(x, y Finding) int {
		switch {
		case x.Blocks == y.Blocks:
			return 0
		case x.Blocks:
			return -1
		}
		return 1
	})
	return fs
}

func noGroup(name string) Finding {
	return Finding{ID: "group/missing", Blocks: true,
		Text: fmt.Sprintf("no Auto Scaling group %q", name), Fix: "aws autoscaling describe-auto-scaling-groups lists them"}
}

func refuse(group string, fs []Finding) error {
	blocking := slices.DeleteFunc(slices.Clone(fs), func(f Finding) bool { return !f.Blocks })
	if len(blocking) == 0 {
		return nil
	}
	return &Refused{Group: group, Findings: blocking}
}

func templateFindings(g Group) []Finding {
	if g.LaunchConfiguration != "" || len(g.Templates) == 0 {
		return []Finding{{ID: "template/none", Blocks: true,
			Text: fmt.Sprintf("it uses the launch configuration %q: only a launch template has versions to go back to", g.LaunchConfiguration),
			Fix:  "aws autoscaling update-auto-scaling-group --launch-template with a template of the same data"}}
	}
	var fs []Finding
	for _, t := range g.Templates {
		if strings.HasPrefix(t.Version, "$") {
			fs = append(fs, Finding{ID: "template/floating", Blocks: true,
				Text: fmt.Sprintf("it uses version %s of launch template %s: AWS cannot roll such a group back", t.Version, cmp.Or(t.Name, t.ID)),
				Fix:  "wpbake adopt pins the version it means today"})
		}
	}
	if g.AttributeBased {
		fs = append(fs, Finding{ID: "template/attributes", Blocks: true,
			Text: "it selects instance types by attributes: AWS refuses a refresh with a desired configuration",
			Fix:  "name instance types in the group's mixed instances policy"})
	}
	return fs
}

func groupFindings(g Group) []Finding {
	var fs []Finding
	add := func(id string, blocks bool, fix, format string, args ...any) {
		fs = append(fs, Finding{ID: id, Blocks: blocks, Text: fmt.Sprintf(format, args...), Fix: fix})
	}
	if g.Desired == 0 {
		add("size/empty", true, "aws autoscaling set-desired-capacity with at least 1", "it wants no node, so nothing could be proven")
	}
	if g.Desired > 0 && g.Max <= g.Desired {
		add("size/max", true, "aws autoscaling update-auto-scaling-group --max-size "+fmt.Sprint(g.Desired+1),
			"its maximum of %d leaves no room to launch a node before one is terminated", g.Max)
	}
	for _, p := range []string{"Launch", "Terminate", "HealthCheck", "AddToLoadBalancer", "InstanceRefresh", "ReplaceUnhealthy"} {
		if slices.Contains(g.Suspended, p) {
			add("group/suspended", p != "ReplaceUnhealthy", "aws autoscaling resume-processes --scaling-processes "+p, "its process %s is suspended", p)
		}
	}
	if len(g.TargetGroups) > 0 && !slices.Contains(g.HealthChecks, "ELB") {
		add("health/ec2-only", false, "aws autoscaling update-auto-scaling-group --health-check-type ELB", "it does not ask its load balancer whether nodes are healthy")
	}
	return append(fs, hookFindings(g)...)
}

func hookFindings(g Group) []Finding {
	i := slices.IndexFunc(g.Hooks, func(h Hook) bool { return h.Name == HookName && h.Launching })
	if i < 0 {
		return []Finding{{ID: "hook/missing", Blocks: true,
			Text: fmt.Sprintf("it has no lifecycle hook %q, so a node would serve before its content was verified", HookName),
			Fix:  "wpbake adopt creates it"}}
	}
	if g.Hooks[i].DefaultResult != "ABANDON" {
		return []Finding{{ID: "hook/continue", Blocks: true,
			Text: fmt.Sprintf("its lifecycle hook %q lets a node that says nothing into service", HookName),
			Fix:  "wpbake adopt sets its default result to ABANDON"}}
	}
	return nil
}

// imageFindings are about the saved template versions, and about the right to
// make new ones.
func (o Observation) imageFindings() []Finding {
	var fs []Finding
	for _, t := range o.Group.Templates {
		v, exists := o.Saved[t]
		if !exists {
			fs = append(fs, Finding{ID: "template/gone", Blocks: true, Fix: "wpbake rollback, or give the group a version that exists",
				Text: fmt.Sprintf("version %s of its launch template %s does not exist any more", t.Version, cmp.Or(t.Name, t.ID))})
			continue
		}
		if strings.HasPrefix(v.ImageID, "resolve:ssm:") {
			fs = append(fs, Finding{ID: "template/ssm-image", Blocks: true, Fix: "put the image id it means today into a new template version",
				Text: fmt.Sprintf("its launch template takes the image from %s: AWS refuses a refresh with a desired configuration", v.ImageID)})
		}
		if slices.Contains(o.Denied, t) {
			fs = append(fs, Finding{ID: "permission/template", Blocks: true, Fix: "allow ec2:CreateLaunchTemplateVersion on the template",
				Text: "these credentials may not create a version of its launch template"})
		}
	}
	return fs
}

func (o Observation) refreshFindings() []Finding {
	active := o.active()
	if active == nil || o.owned(active) {
		return nil
	}
	return []Finding{foreignRefresh(active)}
}

func foreignRefresh(active *Refresh) Finding {
	return Finding{ID: "refresh/foreign", Blocks: true,
		Text: fmt.Sprintf("instance refresh %s is %s and was not started by wpbake", active.ID, active.Status),
		Fix:  "wait for it (wpbake status shows it), or aws autoscaling cancel-instance-refresh"}
}

func (o Observation) alarmFindings() []Finding {
	var fs []Finding
	for _, name := range o.Watch {
		state, ok := o.Alarms[name]
		switch {
		case !ok:
			fs = append(fs, Finding{ID: "alarm/missing", Blocks: true, Text: fmt.Sprintf("alarm %q does not exist", name), Fix: "remove it from refresh.alarms or create it"})
		case state != "OK":
			fs = append(fs, Finding{ID: "alarm/ringing", Blocks: true, Text: fmt.Sprintf("alarm %q is in state %s: AWS would not start the refresh", name, state), Fix: "aws cloudwatch describe-alarms --alarm-names " + name})
		}
	}
	return fs
}

// askedNodes are as many as there may be kinds of nodes in a group: all of one
// template are configured alike.
const askedNodes = 5

// opcacheFindings are what some of the group's nodes reported of PHP's opcache
// when they booted in the last run, each once. None blocks: such a node serves,
// only slower.
func (o Observation) opcacheFindings() []Finding {
	first := map[string]string{} // the node that has a problem
	for _, n := range o.Group.Nodes[:min(len(o.Group.Nodes), askedNodes)] {
		r, ok := o.Reports[n.ID]
		if !ok || r.Run != o.Lock.Run || r.Opcache == nil {
			continue
		}
		for _, p := range r.Opcache.Problems {
			first[p] = cmp.Or(first[p], n.ID)
		}
	}
	var fs []Finding
	for _, p := range slices.Sorted(maps.Keys(first)) {
		fs = append(fs, Finding{ID: "node/opcache", Text: fmt.Sprintf("node %s: %s", first[p], p),
			Fix: "change php.ini in the nodes' image; docs/node.md has the settings"})
	}
	return fs
}
