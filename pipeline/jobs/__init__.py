"""The jobs: one file each, with prepare and build; beside it its flags, a frozen Config, which import no Beam."""
