package main

import "slices"

// Settings that commands read, by what they are about.

// storeKeys are those of a command that opens a store.
func storeKeys() []string { return []string{"store", "region", "bucket_owner"} }

// groupKeys are those of a command about a group.
func groupKeys() []string { return append([]string{"group"}, storeKeys()...) }

// rolloutKeys are those of a command that moves a group.
func rolloutKeys() []string {
	return append([]string{
		"first_node.timeout", "poll", "lock.lease", "database.command", "database.snapshot",
		"refresh.min_healthy", "refresh.max_healthy", "refresh.warmup", "refresh.bake_time",
		"refresh.checkpoints", "refresh.checkpoint_delay", "refresh.alarms", "refresh.protected", "refresh.standby",
	}, groupKeys()...)
}

// checkKeys are those of a command that looks at a tree.
func checkKeys() []string {
	return []string{"tree", "exclude", "check.cron", "check.node", "check.node_php", "check.php", "check.checksums", "check.strict"}
}

// treeKeys are those of a command that builds a tree.
func treeKeys() []string { return append([]string{"cache", "carry_assets"}, checkKeys()...) }

// bakeKeys are those of every bake, whatever is baked.
func bakeKeys() []string {
	return slices.Concat([]string{
		"bake.regions", "bake.accounts", "bake.kms_key", "bake.deprecate_after", "bake.initialization_rate", "bake.timeout",
		"packer.program", "packer.template", "packer.base_image", "packer.base_name", "packer.instance_type",
		"packer.instance_profile", "packer.subnet", "packer.ssh_user", "packer.ssh_port", "packer.wpbake",
	})
}
