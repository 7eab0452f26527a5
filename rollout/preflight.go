package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
)

// HookName is the lifecycle hook that a node's boot completes.
const HookName = "wpbake-boot"

// Finding is one thing that preflight noticed about a group.
type Finding struct {
	ID     string `json:"id"` // such as template/floating
	Blocks bool   `json:"blocks"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"` // what to run
}

// Doctor looks at everything that could stand in the way of a safe release of
// the group and changes nothing. Those that block come first.
func (b *Engine) Doctor(ctx context.Context) ([]Finding, error) {
	g, err := b.o.Cloud.Groups.Group(ctx, b.o.Group)
	if errors.Is(err, ErrNoGroup) {
		return []Finding{{ID: "group/missing", Blocks: true,
			Text: fmt.Sprintf("no Auto Scaling group %q", b.o.Group), Fix: "aws autoscaling describe-auto-scaling-groups lists them"}}, nil
	}
	if err != nil {
		return nil, err
	}
	fs := append(templateFindings(g), groupFindings(g)...)
	for _, look := range []func(context.Context, Group) ([]Finding, error){b.imageFindings, b.refreshFindings, b.alarmFindings, b.opcacheFindings} {
		more, err := look(ctx, g)
		if err != nil {
			return nil, err
		}
		fs = append(fs, more...)
	}
	slices.SortStableFunc(fs, func(x, y Finding) int {
		switch {
		case x.Blocks == y.Blocks:
			return 0
		case x.Blocks:
			return -1
		}
		return 1
	})
	return fs, nil
}

// refuseFindings is Doctor for a release: the blocking findings as *Refused.
func (b *Engine) refuseFindings(ctx context.Context) error {
	fs, err := b.Doctor(ctx)
	if err != nil {
		return err
	}
	return refuse(b.o.Group, fs)
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

// imageFindings reads the saved template versions and asks by dry run whether
// new ones may be made.
func (b *Engine) imageFindings(ctx context.Context, g Group) ([]Finding, error) {
	var fs []Finding
	for _, t := range g.Templates {
		v, err := b.o.Cloud.Templates.Version(ctx, t)
		if errors.Is(err, ErrNoTemplate) {
			fs = append(fs, Finding{ID: "template/gone", Blocks: true, Fix: "wpbake rollback, or give the group a version that exists",
				Text: fmt.Sprintf("version %s of its launch template %s does not exist any more", t.Version, cmp.Or(t.Name, t.ID))})
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(v.ImageID, "resolve:ssm:") {
			fs = append(fs, Finding{ID: "template/ssm-image", Blocks: true, Fix: "put the image id it means today into a new template version",
				Text: fmt.Sprintf("its launch template takes the image from %s: AWS refuses a refresh with a desired configuration", v.ImageID)})
		}
		err = b.o.Cloud.Templates.MayCreate(ctx, t.ID)
		if errors.Is(err, ErrDenied) {
			fs = append(fs, Finding{ID: "permission/template", Blocks: true, Fix: "allow ec2:CreateLaunchTemplateVersion on the template",
				Text: "these credentials may not create a version of its launch template"})
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return fs, nil
}

func (b *Engine) refreshFindings(ctx context.Context, g Group) ([]Finding, error) {
	active, err := b.activeRefresh(ctx)
	if err != nil || active == nil {
		return nil, err
	}
	l, _, err := b.docs().lock(ctx)
	if err != nil {
		return nil, err
	}
	rec, _, err := b.docs().record(ctx, l.Run)
	if err != nil {
		return nil, err
	}
	if l.Run != "" && rec.owns(*active) {
		return nil, nil
	}
	return []Finding{{ID: "refresh/foreign", Blocks: true,
		Text: fmt.Sprintf("instance refresh %s is %s and was not started by wpbake", active.ID, active.Status),
		Fix:  "wait for it (wpbake status shows it), or aws autoscaling cancel-instance-refresh"}}, nil
}

func (b *Engine) alarmFindings(ctx context.Context, g Group) ([]Finding, error) {
	if len(b.o.Refresh.Alarms) == 0 {
		return nil, nil
	}
	states, err := b.o.Cloud.Fleet.Alarms(ctx, b.o.Refresh.Alarms)
	if err != nil {
		return nil, err
	}
	var fs []Finding
	for _, name := range b.o.Refresh.Alarms {
		state, ok := states[name]
		switch {
		case !ok:
			fs = append(fs, Finding{ID: "alarm/missing", Blocks: true, Text: fmt.Sprintf("alarm %q does not exist", name), Fix: "remove it from refresh.alarms or create it"})
		case state != "OK":
			fs = append(fs, Finding{ID: "alarm/ringing", Blocks: true, Text: fmt.Sprintf("alarm %q is in state %s: AWS would not start the refresh", name, state), Fix: "aws cloudwatch describe-alarms --alarm-names " + name})
		}
	}
	return fs, nil
}

// askedNodes are as many as there may be kinds of nodes in a group: all of one
// template are configured alike.
const askedNodes = 5

// opcacheFindings are what some of the group's nodes reported of PHP's opcache
// when they booted in the last run, each once. None blocks: such a node serves,
// only slower.
func (b *Engine) opcacheFindings(ctx context.Context, g Group) ([]Finding, error) {
	l, _, err := b.docs().lock(ctx)
	if err != nil || l.Run == "" {
		return nil, err
	}
	o := b.observer()
	first := map[string]string{} // the node that has a problem
	for _, n := range g.Nodes[:min(len(g.Nodes), askedNodes)] {
		r, err := o.report(ctx, artifact.Stat{Name: node.ReportName(b.o.Group, l.Run, n.ID)})
		if errors.Is(err, artifact.ErrNotFound) { // it booted in another run, or not at all
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Opcache == nil {
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
	return fs, nil
}
