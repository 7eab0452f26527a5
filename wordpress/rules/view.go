package rules

import (
	"io/fs"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// view is all that is known in one check. Nothing of it changes while rules
// run; each is handed the parts that it asks for.
type view struct {
	Options
	tree      *scan.Tree
	site      *wordpress.Site // nil when the tree is not WordPress
	siteErr   error           // why
	inService *inService      // nil when no tree in service is known, or this one is not WordPress
	syntax    []php.SyntaxError
}

// config is what wp-config.php says; nil when there is none.
func (v *view) config() *wpconfig.Config {
	if v.site == nil {
		return nil
	}
	return v.site.Config
}

// inService is the tree in service.
type inService struct {
	fsys fs.FS
	site *wordpress.Site // nil when it could not be read as WordPress
	err  error
}

// finder finds the faults of one rule.
type finder func(*view) hits

// all finds what any of its finders does.
func all(finders ...finder) finder {
	return func(v *view) (h hits) {
		for _, find := range finders {
			h = append(h, find(v)...)
		}
		return h
	}
}

// What rules read, one form for each.

// onTree is for rules that read files, WordPress or not.
func onTree(find func(*scan.Tree) hits) finder {
	return func(v *view) hits { return find(v.tree) }
}

// onSite is for rules about WordPress; what is not WordPress has none of their
// faults.
func onSite(find func(*scan.Tree, *wordpress.Site) hits) finder {
	return func(v *view) hits {
		if v.site == nil {
			return nil
		}
		return find(v.tree, v.site)
	}
}

// onAnySite is for rules that judge a tree that is not WordPress as well, with
// nil in the site's place.
func onAnySite(find func(*scan.Tree, *wordpress.Site) hits) finder {
	return func(v *view) hits { return find(v.tree, v.site) }
}

// onFleet is onSite for rules that go by the nodes' configuration as well, which
// may be nil.
func onFleet(find func(*scan.Tree, *wordpress.Site, *nodeconfig.Config) hits) finder {
	return func(v *view) hits {
		if v.site == nil {
			return nil
		}
		return find(v.tree, v.site, v.Node)
	}
}

// onChecksums is onSite for rules that compare with published checksums.
func onChecksums(find func(*scan.Tree, *wordpress.Site, fs.FS) hits) finder {
	return func(v *view) hits {
		if v.site == nil || v.Checksums == nil {
			return nil
		}
		return find(v.tree, v.site, v.Checksums)
	}
}

// onConfig is for rules about what wp-config.php says.
func onConfig(find func(*wpconfig.Config) hits) finder {
	return func(v *view) hits {
		if v.config() == nil {
			return nil
		}
		return find(v.config())
	}
}

// onDatabase is for rules about what the live database holds.
func onDatabase(find func(*wordpress.Site, *database.Facts) hits) finder {
	return func(v *view) hits {
		if v.site == nil || v.Database == nil {
			return nil
		}
		return find(v.site, v.Database)
	}
}

// onNode is for rules about the nodes' configuration.
func onNode(find func(*nodeconfig.Config) hits) finder {
	return func(v *view) hits {
		if v.Node == nil {
			return nil
		}
		return find(v.Node)
	}
}

// onPHP is for rules about WordPress on the PHP of the nodes, whose version is
// known.
func onPHP(find func(*wordpress.Site, *nodeconfig.Config) hits) finder {
	return func(v *view) hits {
		if v.site == nil || v.Node == nil || v.Node.PHP == "" {
			return nil
		}
		return find(v.site, v.Node)
	}
}

// onChange is for rules about what becomes another from the site in service to
// this one.
func onChange(find func(was, is *wordpress.Site) hits) finder {
	return func(v *view) hits {
		if v.inService == nil || v.inService.site == nil {
			return nil
		}
		return find(v.inService.site, v.site)
	}
}

// onConfigChange is onChange for their configurations.
func onConfigChange(find func(was, is *wpconfig.Config) hits) finder {
	return onChange(func(was, is *wordpress.Site) hits {
		if was.Config == nil || is.Config == nil {
			return nil
		}
		return find(was.Config, is.Config)
	})
}
