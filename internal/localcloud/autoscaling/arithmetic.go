package autoscaling

// bounds say how far a refresh may move a group away from its desired
// capacity: never fewer ready nodes than Floor, never more than Surge nodes
// beyond desired.
type bounds struct {
	Floor int
	Surge int
}

// replacementBounds turns a refresh's percentages into whole nodes. The
// minimum rounds up, the maximum down. Where neither leaves room for a single
// node, one limit has to give way: the maximum if all nodes must stay healthy,
// else the minimum (which takes a group of one out of service).
func replacementBounds(desired int, minHealthy, maxHealthy int32) bounds {
	b := bounds{
		Floor: ceilPercent(desired, minHealthy),
		Surge: desired*int(maxHealthy)/100 - desired,
	}
	if desired == 0 || b.Floor < desired || b.Surge > 0 {
		return b
	}
	if minHealthy == 100 {
		b.Surge = 1
	} else {
		b.Floor--
	}
	return b
}

// ceilPercent is percent of n, rounded up.
func ceilPercent(n int, percent int32) int {
	return (n*int(percent) + 99) / 100
}

// floorPercent is part of whole in percent, rounded down and never beyond 100.
func floorPercent(part, whole int) int {
	if whole <= 0 || part >= whole {
		return 100
	}
	return part * 100 / whole
}
