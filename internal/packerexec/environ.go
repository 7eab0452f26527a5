package packerexec

import (
	"slices"
	"strings"
)

// Passed to Packer are, of the caller's environment, the variables by which it
// finds programs, its plugins and AWS, and nothing else. AWS_MAX_ATTEMPTS would
// also cap the waiters of Packer's plugin for Amazon, so that builds end in the
// middle; PACKER_LOG would write what plugins log, keys among it.
var (
	passed = []string{
		"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
		"PACKER_PLUGIN_PATH", "PACKER_CONFIG_DIR", "PACKER_CONFIG", "PACKER_CACHE_DIR",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
		"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_SDK_LOAD_CONFIG", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		"AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_STS_REGIONAL_ENDPOINTS",
	}
	passedPrefixes = []string{"AWS_ENDPOINT_URL_", "PKR_VAR_"}
	secretNames    = []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}
)

// scrub is environ as far as Packer gets it.
func scrub(environ []string) []string {
	var kept []string
	for _, one := range environ {
		name, _, _ := strings.Cut(one, "=")
		prefixed := slices.ContainsFunc(passedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if prefixed || slices.Contains(passed, name) {
			kept = append(kept, one)
		}
	}
	// No question to a server of versions, and no colours in events.
	return append(kept, "CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1")
}

// secretsOf are the values in environ that nobody may read.
func secretsOf(environ []string) []string {
	var found []string
	for _, one := range environ {
		if name, value, _ := strings.Cut(one, "="); slices.Contains(secretNames, name) {
			found = append(found, value)
		}
	}
	return found
}
