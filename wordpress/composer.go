package wordpress

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
)

// Limits of what Composer left in a vendor directory.
const (
	maxInstalled = 32 << 20
	maxPackages  = 5000
)

// badPackages is a list of installed packages that cannot be read. PHP never
// reads it: a site runs well with it, so it is reported and not refused.
type badPackages struct {
	path string
	err  error
}

func (e *badPackages) Error() string { return fmt.Sprintf("reading %q: %v", e.path, e.err) }

// composerPackage is a package as Composer lists it.
type composerPackage struct {
	Name    string          `json:"name"`
	Version string          `json:"version"`
	License json.RawMessage `json:"license"`
}

// composerPackages lists what Composer installed into a vendor directory, by
// name; a directory without its list holds nothing of Composer's.
func composerPackages(fsys fs.FS, vendor string) ([]cdx.Component, error) {
	name := path.Join(vendor, "composer/installed.json")
	if !safefs.IsFile(fsys, name) {
		return nil, nil
	}
	src, err := safefs.ReadFile(fsys, name, maxInstalled+1)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	packages, err := parseInstalled(src)
	if err != nil {
		return nil, &badPackages{path: printable.Clean(name), err: err}
	}
	slices.SortStableFunc(packages, func(a, b composerPackage) int { return strings.Compare(a.Name, b.Name) })
	packages = slices.CompactFunc(packages, func(a, b composerPackage) bool { return a.Name == b.Name })
	var components []cdx.Component
	for _, p := range packages {
		components = append(components, p.component(vendor))
	}
	return components, nil
}

// parseInstalled reads the list of Composer 2, an object, or 1, an array.
func parseInstalled(src []byte) ([]composerPackage, error) {
	if len(src) > maxInstalled {
		return nil, fmt.Errorf("more than %d bytes", maxInstalled)
	}
	var two struct {
		Packages []composerPackage `json:"packages"`
	}
	err := json.Unmarshal(src, &two)
	if err != nil {
		err = json.Unmarshal(src, &two.Packages)
	}
	if err != nil {
		return nil, err
	}
	if len(two.Packages) > maxPackages {
		return nil, fmt.Errorf("more than %d packages", maxPackages)
	}
	for i := range two.Packages {
		p := &two.Packages[i]
		p.Name, p.Version = printable.Clean(p.Name), printable.Clean(p.Version)
		if vendor, base, _ := strings.Cut(p.Name, "/"); vendor == "" || base == "" || strings.Contains(base, "/") {
			return nil, fmt.Errorf("%q is not the name of a package", p.Name)
		}
	}
	return two.Packages, nil
}

func (p composerPackage) component(vendor string) cdx.Component {
	group, base, _ := strings.Cut(p.Name, "/")
	c := cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: "composer/" + printable.Clean(vendor) + "/" + p.Name, Group: group, Name: base, Version: p.Version,
		PackageURL: packageURL("composer", strings.ToLower(p.Name), p.Version),
		Properties: &[]cdx.Property{{Name: "wpbake:path", Value: printable.Clean(vendor)}},
	}
	if licences := p.licences(); len(licences) > 0 {
		c.Licenses = &licences
	}
	return c
}

// licences are a list, or in old packages one text.
func (p composerPackage) licences() cdx.Licenses {
	var names []string
	if json.Unmarshal(p.License, &names) != nil {
		var one string
		if json.Unmarshal(p.License, &one) != nil {
			return nil
		}
		names = []string{one}
	}
	var list cdx.Licenses
	for _, n := range names {
		if n = printable.Clean(n); n != "" {
			list = append(list, cdx.LicenseChoice{License: &cdx.License{Name: n}})
		}
	}
	return list
}
