"""What Streamlit runs for `spotscan app`."""

from spotscan.page import main

main()
