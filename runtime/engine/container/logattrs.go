package container

import (
	"path"
	"regexp"
	"strings"
	"text/template"
)

// maxTag bounds a log's tag, in bytes: it stands in every entry.
const maxTag = 4 << 10

// logAttributes are the labels and variables of a container that the options of its log name, and its tag: they are kept
// with every entry, and `docker logs --details` prints them.
func (c *Container) logAttributes() (map[string]string, error) {
	options := c.host.LogConfig.Config
	out := map[string]string{}
	env := map[string]string{}
	for _, kv := range c.rec.Config.Env {
		key, value, _ := strings.Cut(kv, "=")
		env[key] = value
	}
	for name, from := range map[string]map[string]string{"labels": c.rec.Config.Labels, "env": env} {
		for key := range strings.SplitSeq(options[name], ",") {
			if value, ok := from[key]; ok {
				out[key] = value
			}
		}
		if options[name+"-regex"] == "" {
			continue
		}
		re, err := regexp.Compile(options[name+"-regex"])
		if err != nil {
			return nil, invalid("invalid %s-regex: %s", name, err)
		}
		for key, value := range from {
			if re.MatchString(key) {
				out[key] = value
			}
		}
	}
	if options["tag"] == "" {
		return out, nil
	}
	tag, err := c.logTag(options["tag"])
	out["tag"] = tag
	return out, err
}

// logTag fills in what --log-opt tag says of the container: moby's loggerutils.ParseLogTag.
func (c *Container) logTag(text string) (string, error) {
	t, err := template.New("log-tag").Parse(text)
	if err != nil {
		return "", invalid("invalid log tag: %s", err)
	}
	short := func(id string) string {
		id = strings.TrimPrefix(id, "sha256:")
		return id[:min(len(id), 12)]
	}
	var b strings.Builder
	err = t.Execute(&b, map[string]string{
		"Name": c.rec.Name, "ID": short(c.id), "FullID": c.id, "ImageName": c.rec.Config.Image, "ImageID": short(c.rec.ImageID),
		"ImageFullID": c.rec.ImageID, "Command": strings.Join(append([]string{path.Base(c.rec.Path)}, c.rec.Args...), " "),
		"DaemonName": "docker",
	})
	if err != nil {
		return "", invalid("invalid log tag: %s", err)
	}
	return b.String()[:min(b.Len(), maxTag)], nil
}
