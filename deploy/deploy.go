// Package deploy holds what an operator starts from.
package deploy

import _ "embed"

// Environments is the default environments.yaml.
//
//go:embed environments.yaml
var Environments []byte
