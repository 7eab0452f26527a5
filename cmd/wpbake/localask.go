package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/localcloud/control"
)

// localStatus is the part of GET /_local/status that is shown.
type localStatus struct {
	PID    int `json:"pid"`
	Groups []struct {
		Name              string
		Template          string
		Min, Desired, Max int
		Nodes             []struct{ ID, Lifecycle, Health, Template string }
	}
	Instances []struct{ ID, State, Address, Type, Zone string }
	Refreshes []struct {
		Group, ID, Status, Reason string
		Percent                   int
	}
	LoadBalancers []struct {
		Name string
		URLs []string
	} `json:"load_balancers"`
	Faults []fault
}

// status asks the local cloud how it is; body is its whole answer.
func (s localState) status(ctx context.Context) (st localStatus, body []byte, err error) {
	body, err = s.call(ctx, "/_local/status", nil)
	if err != nil {
		return st, nil, err
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return st, nil, fmt.Errorf("reading the local cloud's status: %w", err)
	}
	return st, body, nil
}

// call makes a request of the local cloud's own interface: a question, unless
// there is a body to post.
func (s localState) call(ctx context.Context, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := control.Request(ctx, s.Environ, path, data)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the local cloud: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("asking the local cloud: %w", err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("asking the local cloud for %s: %s: %s", path, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

func newLocalStatusCommand(e *env, place *localPlace) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Groups, instances and load balancers of the local cloud",
		Example: "  wpbake local status",
		Args:    exactArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLocalStatus(cmd.Context(), e.out, *place) },
	}
}

func runLocalStatus(ctx context.Context, out *cli.Output, place localPlace) error {
	s, err := place.needRunning(ctx)
	if err != nil {
		return err
	}
	st, body, err := s.status(ctx)
	if err != nil {
		return err
	}
	out.Say("local cloud at %s, process %d", s.URL, s.PID)
	sayLocalStatus(out, st)
	return out.Object(json.RawMessage(body))
}

func sayLocalStatus(out *cli.Output, st localStatus) {
	for _, b := range st.LoadBalancers {
		out.Say("load balancer %s at %s", b.Name, strings.Join(b.URLs, " "))
	}
	for _, f := range st.Faults {
		out.Say("fault %s %s", f.Kind, f.Target)
	}
	for _, r := range st.Refreshes {
		out.Say("refresh %s of %s %s, %d %% %s", r.ID, r.Group, r.Status, r.Percent, r.Reason)
	}
	where := map[string][]string{}
	for _, i := range st.Instances {
		where[i.ID] = []string{i.State, i.Address, i.Zone}
	}
	rows := [][]string{{"GROUP", "NODE", "STATE", "HEALTH", "TEMPLATE", "INSTANCE", "ADDRESS", "ZONE"}}
	for _, g := range st.Groups {
		out.Say("group %s: %d desired of %d to %d, template %s", g.Name, g.Desired, g.Min, g.Max, cli.OrDash(g.Template))
		for _, n := range g.Nodes {
			rows = append(rows, append([]string{g.Name, n.ID, n.Lifecycle, n.Health, n.Template}, append(where[n.ID], "", "", "")[:3]...))
		}
	}
	if len(rows) > 1 {
		out.Table(rows)
	}
}

func newLocalEnvCommand(e *env, place *localPlace) *cobra.Command {
	return &cobra.Command{
		Use:     "env",
		Short:   "Print what any AWS client needs to use the local cloud",
		Example: `  eval "$(wpbake local env)"`,
		Args:    exactArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLocalEnv(cmd.Context(), e.out, *place) },
	}
}

func runLocalEnv(ctx context.Context, out *cli.Output, place localPlace) error {
	s, err := place.needRunning(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environ)) {
		out.Say("export %s=%s", name, shellWord(s.Environ[name]))
	}
	return out.Object(s.Environ)
}

// fault is what POST /_local/fault takes.
type fault struct {
	Kind    string `json:"kind"`
	Target  string `json:"target,omitempty"`
	Count   int    `json:"count,omitempty"`
	Percent int    `json:"percent,omitempty"`
	Seconds int    `json:"seconds,omitempty"`
}

// faultKinds are the faults that the local cloud knows, each with what its
// flags mean.
func faultKinds() map[string]string {
	return map[string]string{
		"unhealthy":           "nodes fail their health check; target: an instance, percent of all",
		"no-capacity":         "launches find no capacity; target: an instance type",
		"alarm":               "an alarm goes into ALARM; target: its name",
		"s3-slow-down":        "S3 answers SlowDown, count times",
		"slow-snapshot":       "snapshots are completed so many seconds later",
		"lag":                 "EC2 shows new things so many seconds late",
		"expired-credentials": "calls are refused as expired; target: an access key",
		"lost-answer":         "a call is performed and its answer lost; target: an action",
		"throttle":            "calls are refused as too many; target: an action",
		"kill":                "an instance loses its power; target: the instance",
		"clear":               "end all faults but alarms",
	}
}

func newLocalFaultCommand(e *env, place *localPlace) *cobra.Command {
	var f fault
	kinds := faultKinds()
	names := slices.Sorted(maps.Keys(kinds))
	var help strings.Builder
	help.WriteString("Makes the local cloud fail on purpose. KIND is one of:\n\n")
	for _, k := range names {
		fmt.Fprintf(&help, "  %-20s %s\n", k, kinds[k])
	}
	cmd := &cobra.Command{
		Use:     "fault KIND",
		Short:   "Make the local cloud fail on purpose",
		Long:    help.String(),
		Example: "  wpbake local fault unhealthy --percent 40\n  wpbake local fault clear",
		Args:    exactArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Kind = args[0]
			if _, ok := kinds[f.Kind]; !ok {
				return cli.Misuse(fmt.Errorf("unknown fault %q", f.Kind), "the kinds are "+strings.Join(names, ", "))
			}
			return runLocalFault(cmd.Context(), e.out, *place, f)
		},
		ValidArgs: names,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Target, "target", "", "the one `NAME` that fails, instead of all")
	flags.IntVar(&f.Count, "count", 0, "how many times it fails; 0 is until cleared")
	flags.IntVar(&f.Percent, "percent", 0, "how many of a hundred fail")
	flags.IntVar(&f.Seconds, "seconds", 0, "for how long, or by how much")
	return cmd
}

func runLocalFault(ctx context.Context, out *cli.Output, place localPlace, f fault) error {
	s, err := place.needRunning(ctx)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, "/_local/fault", f); err != nil {
		return err
	}
	out.Say("fault %s is set", f.Kind)
	return out.Object(f)
}
