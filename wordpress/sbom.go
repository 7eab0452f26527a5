package wordpress

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/wpbake/wpbake/artifact"
)

// What the release is called inside its own bill of materials.
const releaseRef = "release"

// SBOM returns the bill of materials of a tree that Inspect looked at, as
// CycloneDX 1.6 in JSON: WordPress, plugins, themes, and the packages that
// Composer installed for the site and for each of them. It follows from the
// tree and the version alone: no clock, no serial number. Code that a plugin
// brings by other means is not in it, and it says that it is incomplete.
func SBOM(fsys fs.FS, v artifact.Version, w artifact.WordPress) ([]byte, error) {
	core, layout, err := Locate(fsys)
	if err != nil {
		return nil, err
	}
	components := []cdx.Component{coreComponent(w)}
	components = append(components, headerComponents("plugin", w.Plugins)...)
	components = append(components, headerComponents("theme", w.Themes)...)
	unreadable := []cdx.Property{}
	for _, dir := range vendorDirs(contentDir(fsys, core, layout), w) {
		packages, err := composerPackages(fsys, dir)
		var bad *badPackages
		if errors.As(err, &bad) {
			unreadable = append(unreadable, cdx.Property{Name: "wpbake:unreadable", Value: bad.path})
			continue
		}
		if err != nil {
			return nil, err
		}
		components = append(components, packages...)
	}
	b := cdx.NewBOM()
	b.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "wpbake"}}},
		Component: &cdx.Component{Type: cdx.ComponentTypeApplication, BOMRef: releaseRef, Name: "wordpress", Version: string(v)},
	}
	if len(unreadable) > 0 {
		b.Metadata.Properties = &unreadable
	}
	refsOnce(components)
	b.Components = &components
	b.Compositions = &[]cdx.Composition{{
		Aggregate:  cdx.CompositionAggregateIncomplete,
		Assemblies: &[]cdx.BOMReference{releaseRef},
	}}
	return encodeSBOM(b)
}

func encodeSBOM(b *cdx.BOM) ([]byte, error) {
	var out bytes.Buffer
	enc := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(b, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("writing bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

func decodeSBOM(sbom []byte) (*cdx.BOM, error) {
	var b cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(sbom), cdx.BOMFileFormatJSON).Decode(&b); err != nil {
		return nil, fmt.Errorf("reading bill of materials: %w", err)
	}
	return &b, nil
}

// refsOnce tells components of one reference apart: a plugin may be a file
// beside a directory of the same name.
func refsOnce(components []cdx.Component) {
	seen := make(map[string]bool)
	for i := range components {
		c := &components[i]
		first := c.BOMRef
		for n := 2; seen[c.BOMRef]; n++ {
			c.BOMRef = fmt.Sprintf("%s#%d", first, n)
		}
		seen[c.BOMRef] = true
	}
}

func coreComponent(w artifact.WordPress) cdx.Component {
	return cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: "core", Name: "wordpress", Version: w.Core,
		PackageURL: packageURL("generic", "wordpress", w.Core),
		CPE:        "cpe:2.3:a:wordpress:wordpress:" + cpeEscape(w.Core) + ":*:*:*:*:*:*:*",
	}
}

// headerComponents lists plugins or themes. They get no package URL: none
// tells a plugin of wordpress.org from a private one of the same slug.
func headerComponents(kind string, list []artifact.Component) []cdx.Component {
	var components []cdx.Component
	for _, c := range list {
		components = append(components, cdx.Component{
			Type: cdx.ComponentTypeLibrary, BOMRef: kind + "/" + c.Slug, Name: c.Name, Version: c.Version,
			Properties: &[]cdx.Property{{Name: "wpbake:kind", Value: kind}, {Name: "wpbake:slug", Value: c.Slug}},
		})
	}
	return components
}

// vendorDirs are where Composer may have installed packages: for the site,
// and for each plugin and theme. A walk would find more, and cost more than
// the rest of a build in which nothing changed.
func vendorDirs(content string, w artifact.WordPress) []string {
	dirs := []string{"vendor", path.Join(content, "vendor")}
	for _, c := range w.Plugins {
		dirs = append(dirs, path.Join(content, "plugins", c.Slug, "vendor"))
	}
	for _, c := range w.Themes {
		dirs = append(dirs, path.Join(content, "themes", c.Slug, "vendor"))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// packageURL writes a package URL; name may have a namespace before it.
func packageURL(kind, name, version string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = percent(parts[i])
	}
	url := "pkg:" + kind + "/" + strings.Join(parts, "/")
	if version != "" {
		url += "@" + percent(version)
	}
	return url
}

// percent encodes all but what package URLs leave as it is.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isPlain(c) || strings.IndexByte("-._~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// cpeEscape quotes what has a meaning of its own in a CPE.
func cpeEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; !isPlain(c) && c < 0x80 && strings.IndexByte("-._", c) < 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isPlain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
