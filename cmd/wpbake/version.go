package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print wpbake's version",
		GroupID: groupNode,
		Args:    words(),
		Example: "  wpbake version --json",
		RunE:    func(*cobra.Command, []string) error { return c.version() },
	}
}

func (c *cli) version() error {
	v := struct {
		Version  string `json:"version"`
		Revision string `json:"revision,omitempty"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{"(unknown)", "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	c.say("wpbake %s %s %s", v.Version, v.Go, v.Platform)
	return c.object(v)
}
