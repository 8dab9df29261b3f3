"""What a run tells a person: one self-contained HTML file; runs compared."""
