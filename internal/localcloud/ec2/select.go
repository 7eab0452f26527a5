package ec2

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// attributes are a resource's filterable values by filter name.
type attributes map[string][]string

// withTags adds the filters that every taggable resource has.
func (a attributes) withTags(tags map[string]string) attributes {
	a["tag-key"] = slices.Sorted(maps.Keys(tags))
	for key, value := range tags {
		a["tag:"+key] = []string{value}
	}
	return a
}

// matches reports whether every filter finds one of its values, in which *
// and ? stand for anything.
func (a attributes) matches(filters []types.Filter) (bool, error) {
	for _, filter := range filters {
		name := aws.ToString(filter.Name)
		values, known := a[name]
		if !known && !strings.HasPrefix(name, "tag:") {
			return false, wire.Errorf("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
		if !slices.ContainsFunc(values, func(value string) bool { return matchesAny(value, filter.Values) }) {
			return false, nil
		}
	}
	return true, nil
}

func matchesAny(value string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		escaped := strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern)
		// path.Match's * stops at slashes, which names of templates may have
		ok, err := path.Match(strings.ReplaceAll(escaped, "/", "\x00"), strings.ReplaceAll(value, "/", "\x00"))
		return ok && err == nil
	})
}

// selected keeps what the filters match.
func selected[T any](all []T, filters []types.Filter, attributesOf func(T) attributes) ([]T, error) {
	var kept []T
	for _, one := range all {
		ok, err := attributesOf(one).matches(filters)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, one)
		}
	}
	return kept, nil
}

// limits are how many results a page may have.
type limits struct{ least, most int32 }

// page cuts one page out of all results. The token says where to go on.
func page[T any](all []T, size *int32, token *string, l limits) ([]T, *string, error) {
	from := 0
	if given := aws.ToString(token); given != "" {
		text, err := base64.RawURLEncoding.DecodeString(given)
		if err == nil {
			from, err = strconv.Atoi(strings.TrimPrefix(string(text), "from:"))
		}
		if err != nil || from < 0 || from > len(all) {
			return nil, nil, wire.Errorf("InvalidNextToken", "The token '%s' is invalid", given)
		}
	}
	most := int(cmp.Or(aws.ToInt32(size), l.most))
	if most < int(l.least) || most > int(l.most) {
		return nil, nil, wire.Errorf("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", most, l.least, l.most)
	}
	if len(all)-from <= most {
		return all[from:], nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("from:%d", from+most)))
	return all[from : from+most], &next, nil
}
