package wpconfig

import (
	"slices"

	"github.com/wpbake/wpbake/wordpress/php"
)

// Config is what wp-config.php, and the files of the tree that it requires,
// say. Nothing of them is run.
type Config struct {
	Path       string // of wp-config.php, from the tree's root
	Files      []string
	Constants  []Constant // in the order of the source
	Variables  []Constant // assigned to, such as table_prefix
	Calls      []Call     // of functions that rules ask for
	ReadsProto bool       // it makes HTTPS of a header of the load balancer
	Outside    []Call     // of require, for files that are computed or not in the tree

	core     string         // the directory of WordPress, which wp-load.php makes ABSPATH
	first    map[string]int // of a name, in Constants
	settings bool           // wp-settings.php was required: what follows has no effect
	full     bool           // more constants than are kept
}

// Constant is a name that is given a value.
type Constant struct {
	Name   string
	Value  php.Value
	Source []string // names and strings that a computed value is made of
	Env    string   // the variable of the environment that a computed value is, if it is that
	Else   string   // what stands behind it for when the environment has none
	Path   string
	Line   int
	If     string // the condition that it depends on; empty is none
	Dead   bool   // it comes too late, or is the second of its name
}

// Call is a call of a function with what is known of its arguments.
type Call struct {
	Name string
	Args []php.Value
	Path string
	Line int
}

// Get returns the definition of a constant that takes effect. Its value is
// Unknown when it depends on a condition.
func (c *Config) Get(name string) (Constant, bool) {
	i, ok := c.first[name]
	if !ok {
		return Constant{}, false
	}
	k := c.Constants[i]
	if k.If != "" {
		k.Value = php.Value{}
	}
	return k, true
}

// Variable returns the last assignment to a variable.
func (c *Config) Variable(name string) (Constant, bool) {
	for _, v := range slices.Backward(c.Variables) {
		if v.Name == name {
			return v, true
		}
	}
	return Constant{}, false
}

// known is the value of a constant while the configuration runs. wp-load.php
// has defined ABSPATH before.
func (c *Config) known(name string) php.Value {
	if name == "ABSPATH" {
		v := php.TreePath(c.core)
		v.Text += "/"
		return v
	}
	k, _ := c.Get(name)
	return k.Value
}

// MayDefineElsewhere reports whether constants can come from a file that is not in
// the tree.
func (c *Config) MayDefineElsewhere() bool { return len(c.Outside) > 0 || c.full }

// On reports whether a constant is true, or comes from the environment.
func (c *Config) On(name string) bool {
	k, ok := c.Get(name)
	return ok && !k.Value.Falsy()
}

// Defined returns the definition of a constant that PHP keeps, on whatever
// condition; the zero value when there is none.
func (c *Config) Defined(name string) Constant {
	if i, ok := c.first[name]; ok {
		return c.Constants[i]
	}
	return Constant{}
}

// Resolve returns what a constant, or a variable, comes to in an environment. What is
// computed otherwise is looked up by its own name. A condition that it depends on
// is taken to hold.
func (k Constant) Resolve(name string, env func(string) (string, bool)) (string, bool) {
	if k.Value.Kind == php.String && !k.Value.Tree {
		return k.Value.Text, k.Value.Text != ""
	}
	for _, variable := range []string{k.Env, name} {
		if variable == "" {
			continue
		}
		if v, ok := env(variable); ok && v != "" {
			return v, true
		}
	}
	return k.Else, k.Else != ""
}

// KeyNames are WordPress's keys and salts, in its own order.
func KeyNames() []string {
	return []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY",
		"AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	}
}
